"""Fixtures: a state folder, engines alone on real ports, a stack without services."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.common.permissions import OPERATOR
from heliograph.stack import ports
from heliograph.stack.engines import Engine, NatsEngine, PostgresEngine, RedisEngine
from heliograph.stack.options import Options
from heliograph.stack.stack import Stack
from heliograph.stack.state import State

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "state")
    made.create()
    return made


@pytest.fixture(params=["nats", "postgres", "redis"])
def engine(request: pytest.FixtureRequest, state: State) -> Engine:
    """Each engine in turn, not yet started."""
    chosen = ports.choose({"port": 0, "monitor": 0})
    credentials = state.credentials()
    engines: dict[str, Engine] = {
        "nats": NatsEngine(state, state.nats_user(OPERATOR), chosen["port"], chosen["monitor"]),
        "postgres": PostgresEngine(state, credentials, chosen["port"]),
        "redis": RedisEngine(state, credentials, chosen["port"]),
    }
    return engines[str(request.param)]


@pytest.fixture
async def stack(state: State, tmp_path: Path) -> AsyncIterator[Stack]:
    """The engines under supervision, without any service."""
    options = Options(data=tmp_path, speed=None, shards=4, gateway_port=0)
    async with Stack(state, options, names=()) as running:
        yield running


@pytest.fixture
def eventually() -> Eventually:
    """Wait until a condition gives something true; fail after 60 seconds."""

    async def wait(condition: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(60):
            while not (found := await condition()):
                await asyncio.sleep(0.05)
            return found

    return wait
