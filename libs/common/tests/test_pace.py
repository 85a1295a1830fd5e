"""A service does not overtake the one that it comes after, and does not wait for one that is away."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from heliograph.common import pace, subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.events import Tick, encode
from heliograph.common.pace import Pace
from heliograph.common.positions import Positions
from heliograph.common.precedence import Precedence
from heliograph.common.service import Context, Delivery, ShardProcessor, Source
from heliograph.common.worker import DeadLetters, ShardWorker

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
SHARD = 1


class Follower:
    """A service that keeps the sequences which it has handled."""

    name = "follower"
    sharded = True
    sources: tuple[Source, ...] = (
        Source(name="ticks", stream="INPUT", subject="input.tick.{shard}", event=Tick, after="leader"),
    )

    def __init__(self) -> None:
        self.handled: list[int] = []

    async def start(self, context: Context) -> None: ...

    def processor(self, shard: int) -> ShardProcessor:  # noqa: ARG002 - of the protocol
        return self

    async def problems(self) -> dict[str, str]:
        return {}

    async def status(self) -> dict[str, Any]:
        return {}

    async def stop(self) -> None: ...

    async def open(self) -> None: ...

    async def handle(self, source: str, batch: list[Delivery]) -> None:  # noqa: ARG002 - of the protocol
        self.handled += [delivery.seq for delivery in batch]

    async def close(self) -> None: ...


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one ahead is given up soon."""
    monkeypatch.setattr(pace, "PATIENCE_S", 0.3)


@pytest.fixture
async def paces(bus: Bus) -> dict[str, Pace]:
    made = Pace(bus, "leader")
    await made.listen()
    await bus.settled()
    return {"leader": made}


@pytest.fixture
async def follower(bus: Bus, paces: dict[str, Pace]) -> AsyncIterator[Follower]:
    """A follower at work on shard 1."""
    made = Follower()
    dead = DeadLetters(bus, "follower", 5)
    worker = ShardWorker(bus, Positions(bus), made, SHARD, dead, 16, lambda: None, Precedence(), paces)
    task = asyncio.create_task(worker.run())
    yield made
    worker.stop()
    await task


async def put(bus: Bus, count: int) -> list[int]:
    """Publish ticks; their sequences."""
    subject, before = subjects.tick(SHARD), await bus.last_seq("INPUT")
    ticks = [Tick(id=f"t{before + n}", ts=n) for n in range(count)]
    await bus.publish([Message(subject=subject, data=encode(tick), msg_id=tick.id) for tick in ticks])
    return list(range(before + 1, before + 1 + count))


async def test_nothing_is_held_where_nobody_has_spoken(
    bus: Bus, follower: Follower, eventually: Eventually
) -> None:
    put_there = await put(bus, 5)

    async def all_handled() -> bool:
        return follower.handled == put_there

    await eventually(all_handled)


async def test_it_comes_as_far_as_the_one_ahead(
    bus: Bus,
    follower: Follower,
    paces: dict[str, Pace],
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "PATIENCE_S", math.inf)
    await bus.tell(subjects.handled("leader", SHARD), 0)

    async def heard() -> bool:
        return paces["leader"].upto(SHARD, asyncio.Event()) == 0

    await eventually(heard)
    put_there = await put(bus, 5)
    for upto in (2, 3, 5):
        await bus.tell(subjects.handled("leader", SHARD), put_there[upto - 1])

        async def come(upto: int = upto) -> bool:
            assert follower.handled == put_there[: len(follower.handled)]
            assert len(follower.handled) <= upto
            return len(follower.handled) == upto

        await eventually(come)


@pytest.mark.usefixtures("impatient")
async def test_one_that_falls_silent_is_not_waited_for(
    bus: Bus, follower: Follower, eventually: Eventually
) -> None:
    await bus.tell(subjects.handled("leader", SHARD), 0)
    put_there = await put(bus, 5)

    async def all_handled() -> bool:
        return follower.handled == put_there

    await eventually(all_handled)


async def test_an_earlier_position_takes_nothing_back(
    bus: Bus, paces: dict[str, Pace], eventually: Eventually
) -> None:
    wake = asyncio.Event()
    followed = paces["leader"]
    assert followed.upto(SHARD, wake) == math.inf
    for seq in (7, 3):
        wake.clear()
        await bus.tell(subjects.handled("leader", SHARD), seq)
        await asyncio.wait_for(wake.wait(), 10)
        assert followed.upto(SHARD, wake) in (7, math.inf)
    assert followed.upto(SHARD + 1, wake) == math.inf
