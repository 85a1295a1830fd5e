"""One shard on the real server: every signal once and in order, whatever fails in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from heliograph.common import metrics, subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.checkpoint import Checkpoints
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.errors import FencedError, InputError, InvariantError, PoisonError, UnavailableError
from heliograph.common.events import BarBatch, DeadLetter, Signal, encode
from heliograph.common.service import Context, Delivery
from heliograph.common.sharing import Sharing
from heliograph.consensus import processor as module
from heliograph.consensus.engine import Engine, snapshot
from heliograph.consensus.processor import ConsensusProcessor
from heliograph.consensus.service import ConsensusService
from heliograph.consensus.settings import ConsensusSettings

Walk = Callable[..., list[BarBatch]]
Eventually = Callable[..., Awaitable[Any]]
SHARD = 1
SYMBOLS = ["AAPL", "BRK.B", "BTC/USD", "A B"]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def settings(nats_settings: Settings) -> ConsensusSettings:
    return ConsensusSettings(**{**nats_settings.model_dump(), "checkpoint_s": 1000})


@pytest.fixture
def processor(bus: Bus, settings: ConsensusSettings) -> Callable[..., ConsensusProcessor]:
    def make(**changes: Any) -> ConsensusProcessor:
        chosen = settings.model_copy(update=changes)
        return ConsensusProcessor(SHARD, bus, SYSTEM_CLOCK, chosen, Checkpoints(bus, "consensus"))

    return make


async def put(bus: Bus, batches: Sequence[BarBatch], shard: int = SHARD) -> None:
    """Bars into INPUT, as the fetcher does."""
    subject = subjects.bars(shard)
    last = await bus.last("INPUT", subject)
    last_seq = last.seq if last else 0
    for start in range(0, len(batches), 500):
        messages = [
            Message(subject=subject, data=encode(batch), msg_id="", headers={"traceparent": TRACE})
            for batch in batches[start : start + 500]
        ]
        last_seq = await bus.append(messages, last_seq=last_seq, guard=subject)


async def deliveries(bus: Bus, after: int = 0) -> list[Delivery]:
    subject = subjects.bars(SHARD)
    return [
        Delivery(
            event=msgspec.json.decode(m.data, type=BarBatch),
            subject=m.subject,
            data=m.data,
            seq=m.seq,
            headers=m.headers,
        )
        async for m in bus.read("INPUT", subject, after=after, upto=await bus.last_seq("INPUT"))
    ]


async def published(bus: Bus, shard: int | str = SHARD) -> list[Signal]:
    upto = await bus.last_seq("SIGNAL")
    return [
        msgspec.json.decode(m.data, type=Signal)
        async for m in bus.read("SIGNAL", subjects.signal(shard), after=0, upto=upto)
    ]


def expected(batches: Sequence[BarBatch]) -> list[Signal]:
    engine = Engine()
    return [signal for seq, batch in enumerate(batches, 1) for signal in engine.apply(batch, seq)]


@contextlib.asynccontextmanager
async def acknowledged(bus: Bus, seq: int) -> AsyncIterator[None]:
    """The shard's durable consumer stands at `seq`, as the worker leaves it behind."""
    from nats.js import api  # noqa: PLC0415 - only here the server is asked behind the bus

    name = f"consensus-{SHARD}-bars"
    config = api.ConsumerConfig(ack_policy=api.AckPolicy.ALL, max_ack_pending=-1)
    pull = await bus.js.pull_subscribe(subjects.bars(SHARD), durable=name, stream="INPUT", config=config)
    taken = 0
    while taken < seq:
        found = await pull.fetch(min(100, seq - taken), timeout=5)
        taken = found[-1].metadata.sequence.stream
        await found[-1].ack_sync()
    yield
    await pull.unsubscribe()


async def test_signals_of_the_engine_in_order_each_in_the_trace_of_its_bars(
    bus: Bus, walk: Walk, processor: Callable[..., ConsensusProcessor]
) -> None:
    batches = walk(1, SYMBOLS, 300)
    await put(bus, batches)
    one = processor()
    await one.open()
    given = await deliveries(bus)
    for start in range(0, len(given), 64):
        await one.handle("bars", given[start : start + 64])
    found = await published(bus)
    assert found == expected(batches)
    assert found
    upto = await bus.last_seq("SIGNAL")
    async for stored in bus.read("SIGNAL", subjects.signal(SHARD), after=0, upto=upto):
        signal = msgspec.json.decode(stored.data, type=Signal)
        assert stored.subject == subjects.signal(SHARD, signal.symbol)
        trace = stored.headers["traceparent"].split("-")
        assert trace[1] == TRACE.split("-")[1]
        assert trace[2] != TRACE.split("-")[2]
        assert trace[3] == "01"


@pytest.mark.parametrize("batch", [1, 37, 256])
@pytest.mark.parametrize("checkpoint_batches", [20, 10_000])
async def test_what_is_handled_again_is_published_once(
    bus: Bus, walk: Walk, processor: Callable[..., ConsensusProcessor], batch: int, checkpoint_batches: int
) -> None:
    """Not one acknowledgement comes through: each new processor gets everything again."""
    batches = walk(2, SYMBOLS, 300)
    await put(bus, batches)
    given = await deliveries(bus)
    for end in (90, 180, 181, 300):
        one = processor(checkpoint_batches=checkpoint_batches)
        await one.open()
        for start in range(0, end, batch):
            await one.handle("bars", given[start : min(start + batch, end)])
            if one.due:
                await one.save()
        assert one.engine.seq == given[end - 1].seq
        assert one.engine.counts["bars"] == end * len(SYMBOLS)
        assert one.engine.counts["stale"] == 0
    assert await published(bus) == expected(batches)


async def test_a_publication_cut_in_the_middle_of_a_batch_goes_on_there(
    bus: Bus,
    walk: Walk,
    processor: Callable[..., ConsensusProcessor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each run dies after a few more appends of a single signal, also between two of one batch."""
    batches = walk(3, SYMBOLS, 250)
    await put(bus, batches)
    given = await deliveries(bus)
    monkeypatch.setattr(module, "ATOMIC_LIMIT", 1)
    append = bus.append
    budget = 0

    async def dying(messages: Sequence[Message], *, last_seq: int, guard: str, whole: bool) -> int:
        nonlocal budget
        budget -= 1
        if budget < 0:
            raise UnavailableError("gone")
        seq = await append(messages, last_seq=last_seq, guard=guard, whole=whole)
        if budget == 0:
            raise UnavailableError("stored, but never told")
        return seq

    monkeypatch.setattr(bus, "append", dying)
    wanted = expected(batches)
    assert any(a.input_seq == b.input_seq for a, b in pairwise(wanted))
    for _ in range(len(wanted) + 1):
        budget = 3
        one = processor()
        await one.open()
        try:
            await one.handle("bars", given)
        except UnavailableError:
            continue
        break
    assert await published(bus) == wanted


async def test_a_new_owner_goes_on_from_checkpoint_and_acknowledgement(
    bus: Bus, walk: Walk, processor: Callable[..., ConsensusProcessor]
) -> None:
    batches = walk(4, SYMBOLS, 300)
    await put(bus, batches)
    given = await deliveries(bus)
    first = processor(checkpoint_batches=50)
    await first.open()
    for start in range(0, 170, 10):
        await first.handle("bars", given[start : start + 10])
        if first.due:
            await first.save()
    kept = await Checkpoints(bus, "consensus").load(SHARD)
    assert kept is not None
    assert kept[0] == 150
    async with acknowledged(bus, given[169].seq):
        second = processor()
        await second.open()
        assert second.engine.seq == given[169].seq
        assert second.engine.snapshot() == first.engine.snapshot()
        await second.handle("bars", given[170:])
        await second.close()
        third = processor()
        await third.open()
        assert third.engine.snapshot() == second.engine.snapshot()
    assert await published(bus) == expected(batches)


async def test_the_service_keeps_checkpoints_beside_the_batches(
    bus: Bus, walk: Walk, settings: ConsensusSettings, eventually: Eventually
) -> None:
    batches = walk(4, SYMBOLS, 60)
    await put(bus, batches)
    chosen = settings.model_copy(update={"checkpoint_batches": 10})
    async with member(chosen, "one"):

        async def kept() -> bool:
            found = await Checkpoints(bus, "consensus").load(SHARD)
            return found is not None and found[0] == 60

        await eventually(kept)


async def test_signals_that_are_not_yet_published_are_in_no_checkpoint(
    bus: Bus, walk: Walk, processor: Callable[..., ConsensusProcessor], monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(bus, walk(2, SYMBOLS, 300))
    given = await deliveries(bus)
    one = processor(checkpoint_batches=1)
    await one.open()

    async def away(*_: object, **__: object) -> int:
        raise UnavailableError("gone")

    monkeypatch.setattr(bus, "append", away)
    with pytest.raises(UnavailableError, match="gone"):
        await one.handle("bars", given)
    assert not one.due
    await one.save()
    assert await Checkpoints(bus, "consensus").load(SHARD) is None


async def test_of_two_owners_only_one_writes(
    bus: Bus, walk: Walk, processor: Callable[..., ConsensusProcessor]
) -> None:
    batches = walk(5, SYMBOLS, 300)
    await put(bus, batches)
    given = await deliveries(bus)
    first, second = processor(), processor()
    await first.open()
    await second.open()
    await first.handle("bars", given[:200])
    before = await published(bus)
    assert before
    with pytest.raises(FencedError):
        await second.handle("bars", given)
    assert await published(bus) == before
    await first.handle("bars", given[200:])
    assert await published(bus) == expected(batches)


async def test_a_member_that_waited_does_not_go_on_behind_what_another_has_taken(
    bus: Bus, walk: Walk, processor: Callable[..., ConsensusProcessor]
) -> None:
    batches = walk(4, SYMBOLS, 300)
    await put(bus, batches)
    given = await deliveries(bus)
    other, waiting = processor(), processor()
    await other.open()
    await waiting.open()
    await other.handle("bars", given[:250])
    with pytest.raises(FencedError, match=f"another member acknowledged input {given[0].seq}, held up to 0"):
        await waiting.handle("bars", given[250:])
    assert waiting.engine.symbols == 0
    async with acknowledged(bus, given[249].seq):
        again = processor()
        await again.open()
        await again.handle("bars", given[250:])
    assert await published(bus) == expected(batches)


@pytest.mark.parametrize("change", [{"interval": "7d"}, {"symbols": [""] * 4}])
async def test_an_impossible_batch_is_poison_and_passed_over_in_a_replay(
    bus: Bus, walk: Walk, processor: Callable[..., ConsensusProcessor], change: dict[str, Any]
) -> None:
    good = walk(6, SYMBOLS, 120)
    await put(bus, [*good[:60], msgspec.structs.replace(good[60], **change), *good[60:]])
    given = await deliveries(bus)
    one = processor()
    await one.open()
    with pytest.raises(PoisonError, match=next(iter(change)).rstrip("s")):
        await one.handle("bars", given)
    async with acknowledged(bus, given[99].seq):
        two = processor()
        await two.open()
        assert two.engine.counts["bars"] == 99 * len(SYMBOLS)
        await two.handle("bars", given[100:])
    assert two.engine.counts["bars"] == 120 * len(SYMBOLS)


async def test_a_damaged_checkpoint_is_refused(
    bus: Bus, walk: Walk, processor: Callable[..., ConsensusProcessor]
) -> None:
    engine = Engine()
    for seq, batch in enumerate(walk(7, SYMBOLS, 60), 1):
        engine.apply(batch, seq)
    data = engine.snapshot()
    checkpoints = Checkpoints(bus, "consensus")
    await checkpoints.save(SHARD, 60, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(InputError, match="damaged"):
        await processor().open()
    await checkpoints.save(SHARD, 59, data)
    with pytest.raises(InvariantError, match="of 60, kept as 59"):
        await processor().open()


async def test_a_checkpoint_of_another_version_is_made_again_from_the_input(
    bus: Bus, walk: Walk, processor: Callable[..., ConsensusProcessor], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = walk(7, SYMBOLS, 300)
    await put(bus, batches)
    given = await deliveries(bus)
    old = processor()
    await old.open()
    await old.handle("bars", given[:200])
    await old.close()
    before = old.engine.counts
    monkeypatch.setattr(snapshot, "VERSION", snapshot.VERSION + 1)
    async with acknowledged(bus, given[199].seq):
        new = processor()
        await new.open()
        assert (new.engine.seq, new.engine.counts) == (given[199].seq, before)
        await new.handle("bars", given[200:])
        assert await published(bus) == expected(batches)
        await bus.js.purge_stream("INPUT", seq=2)
        monkeypatch.setattr(snapshot, "VERSION", snapshot.VERSION + 1)
        with pytest.raises(InvariantError, match="INPUT begins at 2"):
            await processor().open()


async def test_metrics_count_every_bar_once(
    bus: Bus, walk: Walk, processor: Callable[..., ConsensusProcessor]
) -> None:
    batches = walk(8, SYMBOLS, 100)
    await put(bus, batches)

    def read() -> tuple[float, float]:
        bars = metrics.BARS_EVALUATED._value.get()
        warming = metrics.GATED.labels("warming")._value.get()
        return bars, warming

    before = read()
    one = processor()
    await one.open()
    given = await deliveries(bus)
    await one.handle("bars", given)
    await one.handle("bars", given)
    after = read()
    assert after[0] - before[0] == 100 * len(SYMBOLS)
    assert after[1] - before[1] == 34 * len(SYMBOLS)


@contextlib.asynccontextmanager
async def member(settings: ConsensusSettings, name: str) -> AsyncIterator[tuple[ConsensusService, Sharing]]:
    """The service as the shell runs it; leaves without a word, as if killed, unless stopped before."""
    bus = await Bus.connect(settings, name)
    service = ConsensusService()
    await service.start(
        Context(name="consensus", member=name, settings=settings, bus=bus, clock=SYSTEM_CLOCK)
    )
    sharing = Sharing(bus, service, name, settings, lambda: None)
    task = asyncio.create_task(sharing.run())
    try:
        yield service, sharing
    finally:
        task.cancel()
        await sharing.stop()
        await service.stop()
        await bus.close()


async def test_two_members_share_the_shards_and_one_takes_over(
    bus: Bus, walk: Walk, settings: ConsensusSettings, eventually: Eventually
) -> None:
    shards = settings.shards
    each = {shard: walk(20 + shard, [f"S{shard}-{n}" for n in range(3)], 300) for shard in range(shards)}
    for shard, batches in each.items():
        await put(bus, batches[:150], shard)

    def has(services: list[ConsensusService], bars: int) -> Callable[[], Awaitable[bool]]:
        async def check() -> bool:
            figures = [await service.status() for service in services]
            return sum(f["bars"] for f in figures) == bars * shards * 3 and sorted(
                s for f in figures for s in f["shards"]
            ) == list(range(shards))

        return check

    async with member(settings, "one") as (one, _):
        async with member(settings, "two") as (two, _):
            await eventually(has([one, two], 150))
        for shard, batches in each.items():
            await put(bus, batches[150:], shard)
        await eventually(has([one], 300))
        status = await one.status()
    wanted = {s.id for batches in each.values() for s in expected(batches)}
    found = [s for shard in range(shards) for s in await published(bus, shard)]
    assert sorted(s.id for s in found) == sorted(wanted)
    assert status["signals"] == len(wanted)
    assert status["symbols"] == 3 * shards
    assert await one.problems() == {}


async def test_a_poisonous_message_is_set_apart_and_the_shard_goes_on(
    bus: Bus, walk: Walk, settings: ConsensusSettings, eventually: Eventually
) -> None:
    good = walk(9, SYMBOLS, 120)
    await put(bus, good[:60])
    await put(bus, [msgspec.structs.replace(good[60], interval="7d")])
    await put(bus, good[60:])
    async with member(settings, "one"):

        async def all_there() -> bool:
            return [s.id for s in await published(bus)] == [s.id for s in expected(good)]

        await eventually(all_there)
        dead = await bus.last("DEAD", subjects.dead("consensus", SHARD))
    assert dead is not None
    letter = msgspec.json.decode(dead.data, type=DeadLetter)
    assert letter.stream_seq == 61
    assert "interval: '7d'" in letter.reason
