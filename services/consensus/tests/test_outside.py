"""Votes and ticks from outside on the real server: one order for all, and requests for what is missing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest

from heliograph.common import metrics, subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.errors import UnavailableError
from heliograph.common.events import BarBatch, DeadLetter, Enrich, Event, Signal, Tick, VoteBatch, encode
from heliograph.common.ids import derive_id
from heliograph.common.service import Context
from heliograph.common.sharing import Sharing
from heliograph.consensus.engine import Engine
from heliograph.consensus.service import ConsensusService
from heliograph.consensus.settings import ConsensusSettings

Walk = Callable[..., list[BarBatch]]
Eventually = Callable[..., Awaitable[Any]]
SHARD = 1
HOUR = 3600 * 10**9
SECOND = 10**9
SYMBOLS = ["AAPL", "BTC/USD", "MSFT"]
SUBJECTS = {BarBatch: subjects.bars(SHARD), VoteBatch: subjects.votes(SHARD), Tick: subjects.tick(SHARD)}


@pytest.fixture
def settings(nats_settings: Settings) -> ConsensusSettings:
    """With `models`, which is asked, and `analysts`, which is not."""
    return ConsensusSettings(
        **{**nats_settings.model_dump(), "sources": ("trend", "technical", "models", "analysts")}
    )


def stream_of(walk: Walk, bars: int) -> list[Event]:
    """Bars, votes that come after some of them, and ticks."""
    events: list[Event] = []
    for number, batch in enumerate(walk(6, SYMBOLS, bars, volatility=0.02)):
        close = batch.ts + HOUR
        said = [symbol for n, symbol in enumerate(SYMBOLS) if (number + n) % 3]
        votes = VoteBatch(
            id=derive_id("models", close),
            ts=close,
            source="models",
            symbols=said,
            direction=[1 if number % 4 else -1] * len(said),
            confidence=[0.9] * len(said),
            observed=[close] * len(said),
        )
        first, last = (Tick(id=derive_id("tick", ts), ts=ts) for ts in (close + SECOND, close + 40 * SECOND))
        events += [batch, votes, first] + ([last] if number % 2 else [])
    return events


async def put(bus: Bus, events: Sequence[Event]) -> None:
    """Into INPUT one after the other, each under the subject of its kind."""
    for event in events:
        await bus.publish([Message(subject=SUBJECTS[type(event)], data=encode(event), msg_id=event.id)])


@contextlib.asynccontextmanager
async def member(settings: ConsensusSettings, name: str) -> AsyncIterator[ConsensusService]:
    """The service as the shell runs it."""
    bus = await Bus.connect(settings, name)
    service = ConsensusService()
    context = Context(name="consensus", member=name, settings=settings, bus=bus, clock=SYSTEM_CLOCK)
    await service.start(context)
    sharing = Sharing(bus, service, name, settings, lambda: None)
    task = asyncio.create_task(sharing.run())
    try:
        yield service
    finally:
        task.cancel()
        await sharing.stop()
        await service.stop()
        await bus.close()


async def stored(bus: Bus, stream: str, subject: str, kind: type[Event]) -> list[Any]:
    upto = await bus.last_seq(stream)
    return [
        msgspec.json.decode(m.data, type=kind) async for m in bus.read(stream, subject, after=0, upto=upto)
    ]


def expected(engine: Engine, events: Sequence[Event]) -> tuple[list[Signal], list[Enrich]]:
    signals: list[Signal] = []
    requests: list[Enrich] = []
    for seq, event in enumerate(events, 1):
        if isinstance(event, BarBatch):
            signals += engine.apply(event, seq)
        elif isinstance(event, Tick):
            signals += engine.apply_tick(event, seq)
        elif isinstance(event, VoteBatch):
            engine.apply_votes(event, seq)
        requests += engine.requests
    return signals, requests


async def test_one_order_for_bars_votes_and_ticks(
    bus: Bus, walk: Walk, settings: ConsensusSettings, eventually: Eventually
) -> None:
    """Two owners one after the other; signals and requests are those of the engine fed in stream order."""
    events = stream_of(walk, 160)
    signals, requests = expected(settings.engine(), events)
    assert {"models"} <= {vote.source for signal in signals for vote in signal.votes}
    ticks = {event.id for event in events if isinstance(event, Tick)}
    assert {signal.cause in ticks for signal in signals} == {True, False}
    before = metrics.VOTES.labels("yes")._value.get()

    def told(count: int) -> Callable[[], Awaitable[bool]]:
        async def check() -> bool:
            return len(await stored(bus, "SIGNAL", subjects.signal(SHARD), Signal)) == count

        return check

    half = len(events) // 2
    some, _ = expected(settings.engine(), events[:half])
    async with member(settings, "one"):
        await put(bus, events[:half])
        await eventually(told(len(some)))
    async with member(settings, "two"):
        await put(bus, events[half:])
        await eventually(told(len(signals)))

        async def all_asked() -> bool:
            found = await stored(bus, "REQUEST", subjects.request(SHARD), Enrich)
            return [r.id for r in found] == [r.id for r in requests]

        await eventually(all_asked)
    found = await stored(bus, "SIGNAL", subjects.signal(SHARD), Signal)
    assert found == signals
    assert await stored(bus, "REQUEST", subjects.request(SHARD), Enrich) == requests
    assert requests
    assert metrics.VOTES.labels("yes")._value.get() > before


async def test_an_answerer_outside_is_asked_and_waited_for(
    bus: Bus, walk: Walk, settings: ConsensusSettings, eventually: Eventually
) -> None:
    """It reads requests, votes on some symbols, and tells the time; for the others a deadline falls."""
    batches = walk(6, SYMBOLS, 110, volatility=0.02)
    alive = VoteBatch(
        id="alive", ts=batches[0].ts, source="models", symbols=[], direction=[], confidence=[], observed=[]
    )
    known = 0

    async def asked(close: int) -> list[Enrich]:
        """The requests about one bar, once consensus has taken it."""
        nonlocal known
        upto = await bus.last_seq("REQUEST")
        read = bus.read("REQUEST", subjects.request(SHARD), after=known, upto=upto)
        found = [msgspec.json.decode(message.data, type=Enrich) async for message in read]
        known = upto
        return [request for request in found if request.ts == close]

    async with member(settings, "one") as service:

        async def took(seq: int) -> None:
            async def there() -> bool:
                return any(p.engine.seq >= seq and p._settled for p in service._processors.values())

            await eventually(there)

        await put(bus, batches[:80])
        requests: list[Enrich] = []
        for batch in batches[80:]:
            close = batch.ts + HOUR
            await put(bus, [msgspec.structs.replace(alive, id=f"alive {close}", ts=close), batch])
            await took(await bus.last_seq("INPUT"))
            requests += (mine := await asked(close))
            said = [request.symbol for request in mine if request.symbol != "MSFT"]
            votes = VoteBatch(
                id=derive_id("models", close),
                ts=close,
                source="models",
                symbols=said,
                direction=[1] * len(said),
                confidence=[0.9] * len(said),
                observed=[close] * len(said),
            )
            times = (close + SECOND, close + 30 * SECOND)
            await put(bus, [votes, *(Tick(id=derive_id("tick", SHARD, ts), ts=ts) for ts in times)])
        await took(await bus.last_seq("INPUT"))
    assert {request.symbol for request in requests} == set(SYMBOLS)
    assert all(request.sources == ["models"] and request.v == 2 for request in requests)
    assert all(request.deadline == request.ts + 30 * SECOND for request in requests)
    upto = await bus.last_seq("INPUT")
    read = bus.read("INPUT", subjects.inputs(SHARD), after=0, upto=upto)
    inputs = [msgspec.json.decode(m.data, type=BarBatch | VoteBatch | Tick) async for m in read]
    signals, again = expected(settings.engine(), inputs)
    found = await stored(bus, "SIGNAL", subjects.signal(SHARD), Signal)
    assert found == signals
    assert requests == [request for request in again if request.ts > batches[80].ts]
    voted = {signal.cause for signal in signals if "models" in signal.sources}
    assert voted & {derive_id("tick", SHARD, b.ts + HOUR + SECOND) for b in batches}
    late = {
        signal.symbol
        for signal in signals
        if signal.cause in {derive_id("tick", SHARD, b.ts + HOUR + 30 * SECOND) for b in batches}
    }
    assert late == {"MSFT"}


async def test_votes_of_an_unknown_source_are_set_apart(
    bus: Bus, walk: Walk, settings: ConsensusSettings, eventually: Eventually
) -> None:
    events = stream_of(walk, 30)
    wrong = VoteBatch(
        id="0" * 16, ts=1, source="horoscope", symbols=["AAPL"], direction=[1], confidence=[0.9], observed=[1]
    )
    ragged = encode(wrong).replace(b'"direction":[1]', b'"direction":[1,1]')
    async with member(settings, "one") as service:
        await put(bus, [*events[:40], wrong, *events[40:]])
        await bus.publish([Message(subject=subjects.votes(SHARD), data=ragged, msg_id="ragged")])

        async def both() -> bool:
            letters = await stored(bus, "DEAD", subjects.dead("consensus", SHARD), DeadLetter)
            told = sorted(letter.reason for letter in letters)
            return len(told) == 2 and "2 values, expected 1" in told[0] and "'horoscope', expected" in told[1]

        await eventually(both)

        async def went_on() -> bool:
            return bool((await service.status())["bars"] == 30 * len(SYMBOLS))

        await eventually(went_on)


async def test_without_such_sources_nothing_is_asked(
    bus: Bus, walk: Walk, settings: ConsensusSettings, eventually: Eventually
) -> None:
    """The default sources beside votes and ticks of others: signals as from the bars alone."""
    events = stream_of(walk, 120)
    plain = settings.model_copy(update={"sources": ("trend", "technical", "swing")})
    signals, _ = expected(Engine(), events)
    assert signals
    async with member(plain, "one"):
        await put(bus, events)

        async def all_there() -> bool:
            return await stored(bus, "SIGNAL", subjects.signal(SHARD), Signal) == signals

        await eventually(all_there)
    assert await stored(bus, "REQUEST", subjects.request(SHARD), Enrich) == []


async def test_cases_come_to_the_tracker_once_it_is_there(
    bus: Bus, walk: Walk, settings: ConsensusSettings, eventually: Eventually
) -> None:
    """Refused or unheard they wait in the engine; they are sent in the order of their signals."""
    batches = walk(6, SYMBOLS, 160, volatility=0.02)
    pattern = settings.model_copy(update={"sources": ("trend", "technical", "swing", "pattern")})
    engine = pattern.engine()
    for seq, batch in enumerate(batches, 1):
        engine.apply(batch, seq)
    taken: list[dict[str, Any]] = []
    refusals = 1

    async def tracker(body: bytes) -> bytes:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise UnavailableError("postgres: away")
        taken.extend(msgspec.json.decode(body)["cases"])
        return b'{"new": 1}'

    async with member(pattern, "one") as service:
        await put(bus, batches)
        await bus.respond("query.tracker.pattern_cases", tracker)

        async def all_taken() -> bool:
            return len(taken) >= len(engine.cases) and not any(
                p.engine.cases for p in service._processors.values()
            )

        await eventually(all_taken)
    assert engine.cases
    # A case may come twice where an answer was lost; the tracker keeps one.
    found = list({case["signal"]: case for case in taken}.values())
    assert found == [msgspec.to_builtins(case) for case in engine.cases]
