"""The laws of sharded consumption, on the real server: in order, once, taken over, poison set apart."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from heliograph.common import subjects, worker
from heliograph.common.bus import Bus, Message
from heliograph.common.config import Settings
from heliograph.common.errors import InvariantError, PoisonError, UnavailableError
from heliograph.common.events import BarBatch, DeadLetter, Tick, encode
from heliograph.common.service import Context, Delivery, Source
from heliograph.common.sharing import Sharing

Eventually = Callable[..., Awaitable[Any]]


class Recorder:
    """A service that writes down what it was given, across members, as a durable store would."""

    name = "recorder"
    sharded = True
    sources: tuple[Source, ...] = (
        Source(name="bars", stream="INPUT", subject="input.bars.{shard}", event=BarBatch),
    )

    def __init__(
        self, record: dict[int, list[int]], fail: Callable[[Delivery], None] = lambda _: None
    ) -> None:
        self.record = record
        self.fail = fail
        self.opened: list[int] = []

    async def start(self, context: Context) -> None: ...

    def processor(self, shard: int) -> "RecordingProcessor":
        self.opened.append(shard)
        return RecordingProcessor(self, shard)

    async def problems(self) -> dict[str, str]:
        return {}

    async def status(self) -> dict[str, Any]:
        return {}

    async def stop(self) -> None: ...


class RecordingProcessor:
    def __init__(self, service: Recorder, shard: int) -> None:
        self.service = service
        self.shard = shard

    async def open(self) -> None: ...

    async def handle(self, source: str, batch: list[Delivery]) -> None:
        assert source == "bars"
        done = self.service.record.setdefault(self.shard, [])
        for delivery in batch:
            self.service.fail(delivery)
            if not done or delivery.event.ts > done[-1]:
                done.append(delivery.event.ts)
            else:
                assert delivery.event.ts in done, "overtaken"
        await asyncio.sleep(0)

    async def close(self) -> None: ...


def bar(ts: int) -> BarBatch:
    one = [1.0]
    return BarBatch(
        id=f"{ts:016x}",
        ts=ts,
        interval="1d",
        symbols=["A"],
        open=one,
        high=one,
        low=one,
        close=one,
        volume=one,
        source="t",
    )


async def feed(bus: Bus, shards: int, count: int, first: int = 1) -> None:
    for shard in range(shards):
        subject = subjects.bars(shard)
        last = await bus.last("INPUT", subject)
        batch = [
            Message(subject=subject, data=encode(bar(ts)), msg_id="") for ts in range(first, first + count)
        ]
        await bus.append(batch, last_seq=last.seq if last else 0, guard=subject)


@contextlib.asynccontextmanager
async def member(
    settings: Settings, service: Recorder, name: str
) -> AsyncIterator[tuple[Sharing, asyncio.Task[None], Bus]]:
    bus = await Bus.connect(settings, name)
    sharing = Sharing(bus, service, name, settings, lambda: None)
    task = asyncio.create_task(sharing.run())
    try:
        yield sharing, task, bus
    finally:
        task.cancel()
        if not bus.client.is_closed:
            await sharing.stop()
            await bus.close()
        if sharing.failure.done():
            sharing.failure.exception()


def complete(record: dict[int, list[int]], shards: int, count: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return all(record.get(s) == list(range(1, count + 1)) for s in range(shards))

    return check


async def test_every_message_once_and_in_order(
    bus: Bus, nats_settings: Settings, eventually: Eventually
) -> None:
    record: dict[int, list[int]] = {}
    async with member(nats_settings, Recorder(record), "a"):
        await feed(bus, 4, 600)
        await eventually(complete(record, 4, 600))
        await feed(bus, 4, 300, 601)
        await eventually(complete(record, 4, 900))
        assert sum((await bus.lag("INPUT")).values()) == 0 or await eventually(lambda: no_lag(bus))


async def no_lag(bus: Bus) -> bool:
    return sum((await bus.lag("INPUT")).values()) == 0


async def test_two_members_share_and_one_leaves(
    bus: Bus, nats_settings: Settings, eventually: Eventually
) -> None:
    record: dict[int, list[int]] = {}
    async with member(nats_settings, Recorder(record), "a") as (first, _, _):
        await eventually(lambda: owns(first, 4))
        async with member(nats_settings, Recorder(record), "b") as (second, _, _):
            await feed(bus, 4, 500)
            await eventually(lambda: shared(first, second, 4))
            await eventually(complete(record, 4, 500))
        await feed(bus, 4, 500, 501)
        await eventually(lambda: owns(first, 4))
        await eventually(complete(record, 4, 1000))


async def owns(sharing: Sharing, count: int) -> bool:
    return len(sharing.shards) == count


async def shared(first: Sharing, second: Sharing, count: int) -> bool:
    both = sorted(first.shards + second.shards)
    return both == list(range(count)) and bool(first.shards) and bool(second.shards)


async def test_a_member_that_vanishes_is_taken_over_in_order(
    bus: Bus, nats_settings: Settings, eventually: Eventually
) -> None:
    record: dict[int, list[int]] = {}
    async with member(nats_settings, Recorder(record), "a") as (first, _, _):
        async with member(nats_settings, Recorder(record), "b") as (second, task, its_bus):
            await eventually(lambda: shared(first, second, 4))
            await feed(bus, 4, 2000 // 4)
            task.cancel()
            for worker, running in second._workers.values():
                running.cancel()
                worker.stop()
            await its_bus.client.close()
        await feed(bus, 4, 500, 501)
        await eventually(lambda: owns(first, 4))
        await eventually(complete(record, 4, 1000))


async def test_a_store_that_is_away_loses_nothing(
    bus: Bus, nats_settings: Settings, eventually: Eventually
) -> None:
    record: dict[int, list[int]] = {}
    failures = 0

    def fail(delivery: Delivery) -> None:
        nonlocal failures
        if delivery.event.ts == 50 and failures < 8:
            failures += 1
            raise UnavailableError("store: away")

    async with member(nats_settings, Recorder(record, fail), "a"):
        await feed(bus, 4, 200)
        await eventually(complete(record, 4, 200), timeout=40)
    assert await bus.last("DEAD", "dead.>") is None


@pytest.mark.parametrize("error", [PoisonError("price: nan"), RuntimeError("a fault")])
async def test_a_poison_message_goes_to_dead_and_the_shard_goes_on(
    bus: Bus,
    nats_settings: Settings,
    eventually: Eventually,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "TRIES", 2)  # each is a pause longer than the one before
    record: dict[int, list[int]] = {}

    def fail(delivery: Delivery) -> None:
        if delivery.event.ts == 13 and delivery.subject == "input.bars.0":
            raise error

    async with member(nats_settings, Recorder(record, fail), "a"):
        await feed(bus, 1, 100)

        async def done() -> bool:
            return record.get(0) == [ts for ts in range(1, 101) if ts != 13]

        await eventually(done, timeout=40)
    dead = await bus.last("DEAD", "dead.recorder.0")
    assert dead is not None
    letter = msgspec.json.decode(dead.data, type=DeadLetter)
    assert msgspec.json.decode(letter.payload, type=BarBatch).ts == 13
    assert str(error) in letter.reason
    assert letter.subject == "input.bars.0"


async def test_what_does_not_decode_goes_to_dead_by_field(
    bus: Bus, nats_settings: Settings, eventually: Eventually
) -> None:
    record: dict[int, list[int]] = {}
    wrong = encode(Tick(id="x", ts=1))
    short = encode(bar(1)).replace(b'"close":[1.0]', b'"close":[]')
    async with member(nats_settings, Recorder(record), "a"):
        await bus.append(
            [Message(subject="input.bars.0", data=d, msg_id="") for d in (wrong, short, b"{")],
            last_seq=0,
            guard="input.bars.0",
        )
        await feed(bus, 1, 10)
        await eventually(complete(record, 1, 10))
    letters = [m async for m in bus.read("DEAD", "dead.recorder.0", after=0, upto=10)]
    reasons = [msgspec.json.decode(m.data, type=DeadLetter).reason for m in letters]
    assert len(reasons) == 3
    assert "close: 0 values, expected 1" in reasons[1]


async def test_too_many_dead_letters_stop_the_service(bus: Bus, nats_settings: Settings) -> None:
    settings = nats_settings.model_copy(update={"dead_letter_limit": 5})
    async with member(settings, Recorder({}), "a") as (sharing, _, _):
        await bus.append(
            [Message(subject="input.bars.0", data=b"{", msg_id="") for _ in range(20)],
            last_seq=0,
            guard="input.bars.0",
        )
        with pytest.raises(InvariantError, match="dead_letter_limit: 5"):
            await asyncio.wait_for(asyncio.shield(sharing.failure), 15)


async def test_a_restarted_server_costs_nothing(
    bus: Bus, nats_settings: Settings, nats_server: Any, eventually: Eventually
) -> None:
    record: dict[int, list[int]] = {}
    async with member(nats_settings, Recorder(record), "a"):
        await feed(bus, 4, 500)
        nats_server.stop(signal.SIGKILL)
        nats_server.start()

        async def fed() -> bool:
            try:
                await feed(bus, 4, 500, 501)
            except UnavailableError:
                return False
            return True

        await eventually(fed)
        await eventually(complete(record, 4, 1000), timeout=40)
