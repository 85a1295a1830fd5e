"""Where a consumer begins, after a kill of the server that held its position in memory."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from nats.js.errors import NotFoundError

from heliograph.common.bus import Bus, Message
from heliograph.common.positions import BUCKET, Position, Positions
from heliograph.common.pull import PullConsumer, Received

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
DURABLE = "test-0-bars"


class Reader:
    """One consumer of the bars of shard 0, and what it has been given."""

    def __init__(self, bus: Bus) -> None:
        self.positions = Positions(bus)
        self.consumer = PullConsumer(
            bus, self.positions, "INPUT", DURABLE, "input.bars.0", 16, asyncio.Event()
        )

    async def take(self, count: int) -> list[Received]:
        taken: list[Received] = []
        async with asyncio.timeout(10):
            while len(taken) < count:
                taken += await self.consumer.take(count - len(taken))
                await asyncio.sleep(0.01)
        return taken


@pytest.fixture
async def reader(bus: Bus) -> AsyncIterator[Reader]:
    made = Reader(bus)
    await made.consumer.open()
    yield made
    await made.consumer.close()


@pytest.fixture
def soon_given_up(bus: Bus) -> None:
    """Requests to a server that is killed meanwhile do not wait for the usual five seconds."""
    bus.js = bus.client.jetstream(timeout=1)


async def publish(bus: Bus, names: str) -> None:
    await bus.publish([Message(subject="input.bars.0", data=name.encode(), msg_id="") for name in names])


def payloads(found: list[Received]) -> str:
    return b"".join(received.data for received in found).decode()


async def forgotten(bus: Bus) -> bool:
    """Whether the server, killed and back, has forgotten the consumer."""
    try:
        await bus.js.consumer_info("INPUT", DURABLE)
    except NotFoundError:
        return True
    except Exception:  # it is not back yet
        return False
    return False


@pytest.mark.usefixtures("soon_given_up")
async def test_after_a_kill_of_the_server_it_begins_at_the_kept_position(
    bus: Bus, nats_server: Any, reader: Reader, eventually: Eventually
) -> None:
    await publish(bus, "abcd")
    taken = await reader.take(3)
    await reader.consumer.ack(taken[1])
    await reader.positions.keep()
    await reader.consumer.ack(taken[2])  # acknowledged, but not kept before the kill
    nats_server.stop(9)
    nats_server.start()
    await eventually(lambda: forgotten(bus))
    again = Reader(bus)
    await again.consumer.open()
    assert payloads(await again.take(2)) == "cd"
    assert await bus.ack_floor("INPUT", DURABLE) == taken[1].seq
    await again.consumer.close()


async def test_without_a_kill_it_goes_on_after_the_last_acknowledgement(bus: Bus, reader: Reader) -> None:
    await publish(bus, "abc")
    taken = await reader.take(3)
    await reader.consumer.ack(taken[1])
    await reader.consumer.close()
    again = Reader(bus)
    await again.consumer.open()
    assert payloads(await again.take(1)) == "c"
    await again.consumer.close()


async def test_the_position_in_another_stream_of_that_name_means_nothing(bus: Bus, reader: Reader) -> None:
    await publish(bus, "abcd")
    await reader.consumer.ack((await reader.take(4))[3])
    await reader.positions.keep()
    await reader.consumer.close()
    await bus.js.delete_stream("INPUT")
    await bus.ensure_streams()
    await publish(bus, "xyzuvw")
    again = Reader(bus)
    await again.consumer.open()
    assert payloads(await again.take(6)) == "xyzuvw"
    await again.consumer.close()


@pytest.mark.usefixtures("soon_given_up")
async def test_what_cannot_be_kept_is_kept_later(bus: Bus, nats_server: Any, eventually: Eventually) -> None:
    positions = Positions(bus)
    assert await positions.load(DURABLE, "then") == 0
    nats_server.stop(9)
    positions.note(DURABLE, Position(7, "then"))
    await positions.keep()
    nats_server.start()

    async def kept() -> bool:
        await positions.keep()
        try:
            return await positions.load(DURABLE, "then") == 7
        except Exception:  # it is not back yet
            return False

    await eventually(kept)
    assert (await bus.js.stream_info(f"KV_{BUCKET}")).state.messages == 1


async def test_messages_rest_unless_enough_wait(bus: Bus, reader: Reader, eventually: Eventually) -> None:
    assert reader.consumer.due_in(0, 1) == math.inf
    await publish(bus, "ab")

    async def came() -> bool:
        return len(reader.consumer.waiting) == 2

    await eventually(came)
    assert 0 < reader.consumer.due_in(60, 3) <= 60
    assert reader.consumer.due_in(60, 2) == 0
    assert reader.consumer.due_in(0, 3) == 0

    async def rested() -> bool:
        return reader.consumer.due_in(0.05, 3) == 0

    await eventually(rested)
