"""What a client has waiting for it stays small, whatever the size of the messages."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from heliograph.common import pull
from heliograph.common.bus import Bus, Message
from heliograph.common.positions import Positions
from heliograph.common.pull import PullConsumer

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
WINDOW = 512
PULL_BYTES = 300_000
LARGE = 80_000


async def consumer_of(bus: Bus) -> PullConsumer:
    """A consumer of shard 2's bars with nothing acknowledged."""
    consumer = PullConsumer(
        bus, Positions(bus), "INPUT", "service-2-bars", "input.bars.2", WINDOW, asyncio.Event()
    )
    await consumer.open()
    return consumer


async def send(bus: Bus, sizes: list[int]) -> None:
    """Publish messages of these sizes, each with its number in front."""
    for number, size in enumerate(sizes):
        data = f"{number:08d}".encode().ljust(size, b".")
        await bus.publish([Message(subject="input.bars.2", data=data, msg_id=f"{number}")])


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([LARGE] * 40, id="large"),
        pytest.param([100] * 2_000, id="small"),
        pytest.param([100, PULL_BYTES + 1, 100, 900_000, 900_000, 100], id="larger than a pull"),
        pytest.param([LARGE, 10] * 20, id="mixed"),
    ],
)
async def test_all_come_in_order_and_few_bytes_wait(
    bus: Bus, sizes: list[int], eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "PULL_BYTES", PULL_BYTES)
    consumer = await consumer_of(bus)
    await send(bus, sizes)
    numbers: list[int] = []

    async def came() -> bool:
        assert not consumer.broken
        return bool(consumer.waiting)

    while len(numbers) < len(sizes):
        await eventually(came)
        assert sum(len(r.data) for r in consumer.waiting) <= PULL_BYTES + max(PULL_BYTES, *sizes)
        taken = await consumer.take(3)
        numbers += [int(r.data[:8]) for r in taken]
        await consumer.ack(taken[-1])
    assert numbers == list(range(len(sizes)))
    assert not consumer.broken
    await consumer.close()
