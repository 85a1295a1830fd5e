"""A pull consumer on the real server: whoever takes it is served, however often it was taken before."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from heliograph.common.bus import Bus
from heliograph.common.positions import Positions
from heliograph.common.pull import PIN_TTL_S, PullConsumer

MESSAGES = 300


@pytest.fixture
async def make(bus: Bus) -> Callable[[], PullConsumer]:
    """Readers of one durable consumer, of whose stream every message waits."""
    for _ in range(MESSAGES):
        await bus.client.publish("input.bars.0", b"{}")
    await bus.settled()
    positions = Positions(bus)
    return lambda: PullConsumer(
        bus, positions, "INPUT", "consensus-0-bars", "input.bars.0", 64, asyncio.Event()
    )


async def everything(consumer: PullConsumer) -> list[int]:
    """The sequences of all messages, as they come."""
    found: list[int] = []
    async with asyncio.timeout(PIN_TTL_S / 2):
        while len(found) < MESSAGES:
            batch = await consumer.take(64)
            found += [received.seq for received in batch]
            if batch:
                await consumer.ack(batch[-1])
            assert not consumer.broken
            await asyncio.sleep(0.001)
    return found


@pytest.mark.parametrize("rewinds", [0, 1, 3, 8])
async def test_it_is_served_at_once_after_many_rewinds(
    make: Callable[[], PullConsumer], rewinds: int
) -> None:
    """A pin that the server has given to an earlier request would hold it up until the pin runs out."""
    consumer = make()
    await consumer.open()
    for _ in range(rewinds):
        await consumer.rewind()
    assert await everything(consumer) == list(range(1, MESSAGES + 1))
    await consumer.close()


async def test_the_newest_reader_has_it_and_the_one_before_has_not(
    make: Callable[[], PullConsumer], eventually: Callable[[Callable[[], Awaitable[bool]]], Awaitable[bool]]
) -> None:
    before, newest = make(), make()
    await before.open()

    async def has_some() -> bool:
        return len(before.waiting) > 0

    await eventually(has_some)
    await newest.open()
    assert await everything(newest) == list(range(1, MESSAGES + 1))
    await before.close()
    await newest.close()
