"""Fixtures of reasoning: signals, and a real Redis that a test may kill."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.common.events import Signal, Vote

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


class RedisServer:
    """A real redis-server on loopback that a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        binary = str(Path(sys.executable).with_name("redis-server"))
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        self._process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 0.2).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis with an empty store."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()
