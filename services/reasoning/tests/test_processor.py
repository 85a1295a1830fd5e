"""Reasons on the real NATS server: one for each signal, with or without Redis, and no second one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from heliograph.common import subjects
from heliograph.common.bus import Bus, Message, Stored
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.errors import UnavailableError
from heliograph.common.events import Reason, Signal, encode
from heliograph.common.ids import derive_id
from heliograph.common.service import Context, Delivery
from heliograph.common.shards import shard_of
from heliograph.common.sharing import Sharing
from heliograph.reasoning.facts import price_text
from heliograph.reasoning.service import ReasoningService
from heliograph.reasoning.settings import ReasoningSettings

SHARDS = 4
SYMBOLS = ("AAPL", "BRK.B", "BTC/USD", "A B", "MSFT")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MakeSignal = Callable[..., Signal]
Make = Callable[..., Awaitable[ReasoningService]]
Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


@pytest.fixture
async def start(bus: Bus, nats_settings: Settings) -> AsyncIterator[Make]:
    """Start reasoning; stopped after the test."""
    started: list[ReasoningService] = []

    async def make(redis_url: str = "") -> ReasoningService:
        settings = ReasoningSettings(nats_url=nats_settings.nats_url, shards=SHARDS, redis_url=redis_url)
        context = Context(name="reasoning", member="m", settings=settings, bus=bus, clock=SYSTEM_CLOCK)
        service = ReasoningService()
        await service.start(context)
        started.append(service)
        return service

    yield make
    for service in started:
        await service.stop()


@pytest.fixture
def many(make_signal: MakeSignal) -> list[Signal]:
    """Forty signals of several symbols, each with prices of its own."""
    return [
        make_signal(
            id=derive_id("test", n),
            symbol=SYMBOLS[n % len(SYMBOLS)],
            entry=100.0 + n,
            stop=90.0 + n,
            target=125.0 + n,
            ts=17_000 * 86_400 * 10**9 + n,
        )
        for n in range(40)
    ]


def deliveries(signals: list[Signal]) -> list[Delivery]:
    return [
        Delivery(
            event=signal,
            subject=subjects.signal(1, signal.symbol),
            data=encode(signal),
            seq=n + 1,
            headers={"traceparent": TRACE},
        )
        for n, signal in enumerate(signals)
    ]


async def stored(bus: Bus) -> list[Stored]:
    return [m async for m in bus.read("REASON", "reason.>", after=0, upto=await bus.last_seq("REASON"))]


async def reasons(bus: Bus) -> list[Reason]:
    return [msgspec.json.decode(m.data, type=Reason) for m in await stored(bus)]


async def publish(bus: Bus, signals: list[Signal]) -> None:
    await bus.publish(
        [
            Message(
                subject=subjects.signal(shard_of(s.symbol, SHARDS), s.symbol),
                data=encode(s),
                msg_id=s.id,
                headers={"traceparent": TRACE},
            )
            for s in signals
        ]
    )


async def test_each_signal_gets_its_reason_on_its_subject(bus: Bus, start: Make, many: list[Signal]) -> None:
    service = await start()
    processor = service.processor(1)
    await processor.open()
    await processor.handle("signals", deliveries(many))
    found = await stored(bus)
    assert [m.subject for m in found] == [subjects.reason(1, s.symbol) for s in many]
    for signal, reason in zip(many, await reasons(bus), strict=True):
        assert (reason.signal, reason.cause, reason.ts) == (signal.id, signal.id, signal.ts)
        for price in (signal.entry, signal.stop, signal.target):
            assert price_text(price) in reason.text
    assert (await service.status())["reasons"] == len(many)


async def test_a_reason_goes_on_with_its_signals_trace(bus: Bus, start: Make, many: list[Signal]) -> None:
    await (await start()).processor(1).handle("signals", deliveries(many[:2]))
    traces = [m.headers["traceparent"].split("-") for m in await stored(bus)]
    assert {t[1] for t in traces} == {TRACE.split("-")[1]}
    assert len({t[2] for t in traces} | {TRACE.split("-")[2]}) == 3
    assert {t[3] for t in traces} == {"01"}


@pytest.mark.parametrize("split", [1, 17, 40])
async def test_a_second_delivery_publishes_nothing_new(
    bus: Bus, start: Make, many: list[Signal], split: int
) -> None:
    service = await start()
    await service.processor(1).handle("signals", deliveries(many))
    again = await start()
    for first in range(0, len(many), split):
        await again.processor(1).handle("signals", deliveries(many[first : first + split]))
    found = await reasons(bus)
    assert [r.signal for r in found] == [s.id for s in many]
    assert len({r.id for r in found}) == len(many)


async def test_signals_of_one_kind_share_a_text_but_no_price(
    bus: Bus, start: Make, many: list[Signal]
) -> None:
    service = await start()
    mine = [s for s in many if s.symbol == "AAPL"]
    processor = service.processor(1)
    for delivery in deliveries(mine):
        await processor.handle("signals", [delivery])
    found = await reasons(bus)
    assert [r.cached for r in found] == [False] + [True] * (len(mine) - 1)
    assert len({r.text for r in found}) == len(mine)
    for signal, reason in zip(mine, found, strict=True):
        others = {price_text(s.entry) for s in mine} - {
            price_text(p) for p in (signal.entry, signal.stop, signal.target)
        }
        assert not [price for price in others if price in reason.text]


async def test_reasons_come_while_redis_is_killed(
    bus: Bus, start: Make, many: list[Signal], redis_server: Any
) -> None:
    service = await start(redis_server.url)
    processor = service.processor(1)
    await processor.handle("signals", deliveries(many[:20]))
    assert (await service.status())["redis"] == "ok"
    redis_server.kill()
    await processor.handle("signals", deliveries(many)[20:])
    status = await service.status()
    assert status["redis"] == "memory"
    assert await service.problems() == {}
    assert [r.signal for r in await reasons(bus)] == [s.id for s in many]


async def test_another_replica_takes_the_texts_from_redis(
    bus: Bus, start: Make, many: list[Signal], redis_server: Any
) -> None:
    one, two = await start(redis_server.url), await start(redis_server.url)
    await one.processor(1).handle("signals", deliveries(many[:5]))
    await two.processor(2).handle("signals", deliveries(many[5:10]))
    status = await two.status()
    assert status["cache"] == {"hits_memory": 0, "hits_redis": 5, "misses": 0, "size": 5}
    found = await reasons(bus)
    assert [r.cached for r in found] == [False] * 5 + [True] * 5
    for signal, reason in zip(many[:10], found, strict=True):
        assert f"at {price_text(signal.entry)}:" in reason.text


async def test_what_is_not_stored_is_not_handled(bus: Bus, start: Make, many: list[Signal]) -> None:
    service = await start()
    await bus.js.delete_stream("REASON")
    with pytest.raises(UnavailableError):
        await service.processor(1).handle("signals", deliveries(many))
    assert (await service.status())["reasons"] == 0


async def test_under_the_platform_every_shard_is_explained(
    bus: Bus, start: Make, many: list[Signal], eventually: Eventually, nats_settings: Settings
) -> None:
    service = await start()
    await publish(bus, many)
    sharing = Sharing(bus, service, "m", nats_settings, lambda: None)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(sharing.run())

        async def all_explained() -> bool:
            return len(await stored(bus)) >= len(many)

        await eventually(all_explained)
        following.cancel()
    await sharing.stop()
    found = await reasons(bus)
    assert {r.signal for r in found} == {s.id for s in many}
    for symbol in SYMBOLS:
        assert [r.signal for r in found if r.symbol == symbol] == [s.id for s in many if s.symbol == symbol]
