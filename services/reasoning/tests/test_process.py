"""Reasoning as a process: it starts without its Redis, explains, and ends cleanly."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import pytest

from heliograph.common.bus import Bus, Message
from heliograph.common.errors import UnavailableError
from heliograph.common.events import Reason, Signal, encode
from heliograph.common.shards import shard_of
from heliograph.common.subjects import reason as reason_subject
from heliograph.common.subjects import signal as signal_subject

Eventually = Callable[..., Awaitable[Any]]


@pytest.fixture
def process(nats_server: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Reasoning beside a Redis that is not there."""
    started = subprocess.Popen(
        [sys.executable, "-m", "heliograph.reasoning"],
        env={
            **os.environ,
            "NATS_URL": nats_server.url,
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "HELIOGRAPH_SHARDS": "4",
            "HELIOGRAPH_HEARTBEAT_S": "0.1",
        },
    )
    yield started
    started.kill()
    started.wait()


async def test_signals_are_explained_by_the_process(
    bus: Bus,
    process: subprocess.Popen[bytes],
    make_signal: Callable[..., Signal],
    eventually: Eventually,
) -> None:
    signals = [make_signal(id=f"{n:016x}", symbol="BRK.B") for n in range(5)]
    shard = shard_of("BRK.B", 4)
    await bus.publish(
        [Message(subject=signal_subject(shard, "BRK.B"), data=encode(s), msg_id=s.id) for s in signals]
    )

    async def explained() -> bool:
        return await bus.last_seq("REASON") >= len(signals)

    await eventually(explained, 60)
    found = [m async for m in bus.read("REASON", reason_subject(shard), after=0, upto=99)]
    reasons = [msgspec.json.decode(m.data, type=Reason) for m in found]
    assert [r.signal for r in reasons] == [s.id for s in signals]

    async def ready() -> Any:
        try:
            return await bus.request("status.reasoning", {}, timeout=1)
        except UnavailableError:
            return None

    told = await eventually(ready, 30)
    assert told["ready"] is True
    assert (told["status"]["reasons"], told["status"]["redis"]) == (5, "memory")
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 20) == 0
