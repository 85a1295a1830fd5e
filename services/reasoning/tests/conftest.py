"""Fixtures of reasoning: signals, and a model server."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from heliograph.common.events import Signal, Vote
from heliograph.reasoning.model_server.server import ModelServer

DAY_NS = 86_400 * 10**9
START = 17_000 * DAY_NS


def signal(**changes: Any) -> Signal:
    """A valid signal; any field may be changed."""
    fields: dict[str, Any] = {
        "id": "a" * 16,
        "ts": START,
        "symbol": "AAPL",
        "action": "BUY",
        "entry": 163.03,
        "stop": 155.0,
        "target": 180.1,
        "confidence": 82.5,
        "raw_confidence": 82.5,
        "regime": "BULL",
        "view": "TRENDING",
        "votes": [
            Vote(source="technical", direction=1, confidence=0.7, weight=0.4),
            Vote(source="trend", direction=1, confidence=0.95, weight=0.6),
        ],
        "sources": ["trend", "technical"],
        "agreement": 1.0,
        "expected_r": 0.2,
        "strategy": "default@1",
        "interval": "1d",
        "bar_ts": START - DAY_NS,
        "expires": START + 30 * DAY_NS,
        "input_seq": 1,
        "sha256": "",
        "prev_sha256": "",
    }
    return Signal(**(fields | changes))


@pytest.fixture(scope="session")
def make_signal() -> Callable[..., Signal]:
    """Make a valid signal; any field may be changed."""
    return signal


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    """A model server without faults, until a test switches some."""
    made = ModelServer()
    await made.start()
    yield made
    await made.stop()
