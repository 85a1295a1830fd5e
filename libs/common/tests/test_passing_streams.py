"""REQUEST was a work queue once: it is made again, and several sources read all of it."""

import asyncio

from nats.js import api

from heliograph.common.bus import Bus, Message
from heliograph.common.config import Settings
from heliograph.common.positions import Positions
from heliograph.common.pull import PullConsumer
from heliograph.common.subjects import REQUESTS_KEPT_S


async def test_a_work_queue_is_made_again_and_the_other_streams_stay(nats_settings: Settings) -> None:
    bus = await Bus.connect(nats_settings, "old")
    await bus.js.add_stream(
        api.StreamConfig(
            name="REQUEST",
            subjects=["request.*"],
            retention=api.RetentionPolicy.WORK_QUEUE,
            allow_direct=True,
            metadata={"shards": "4"},
        )
    )
    await bus.publish([Message(subject="request.1", data=b"lost", msg_id="lost")])
    for _ in range(2):
        await bus.ensure_streams()
        info = await bus.js.stream_info("REQUEST")
        assert info.config.retention == api.RetentionPolicy.LIMITS
        assert info.config.max_age == REQUESTS_KEPT_S
        await bus.publish([Message(subject="request.1", data=b"kept", msg_id="kept")])
    assert await bus.last_seq("REQUEST") == 1
    await bus.close()


async def test_two_services_each_read_every_request(bus: Bus) -> None:
    positions = Positions(bus)
    await bus.publish([Message(subject="request.1", data=b"%d" % n, msg_id=f"m{n}") for n in range(3)])
    for service in ("reasoning", "fetcher"):
        wake = asyncio.Event()
        consumer = PullConsumer(bus, positions, "REQUEST", f"{service}-1-requests", "request.1", 8, wake)
        await consumer.open()
        found: list[bytes] = []
        while len(found) < 3:
            await asyncio.wait_for(wake.wait(), 10)
            wake.clear()
            for received in await consumer.take(8):
                found.append(received.data)
                await consumer.ack(received)
        assert found == [b"0", b"1", b"2"]
        await consumer.close()
