"""A shard of the tracker on the real Postgres and the real NATS: in order, late, killed and fenced."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from nats.js import api

from heliograph.common import telemetry
from heliograph.common.bus import Bus
from heliograph.common.errors import FencedError, InvariantError, PoisonError, UnavailableError
from heliograph.common.events import BarBatch, Outcome, Reason, Signal
from heliograph.common.service import Delivery
from heliograph.tracker import leases, record
from heliograph.tracker.database import Database
from heliograph.tracker.processor import TrackerProcessor
from heliograph.tracker.rows import signal_row
from heliograph.tracker.service import TrackerService
from heliograph.tracker.settings import TrackerSettings
from heliograph.tracker.writer import Writer

SHARD = 1
QUIET = (100.0, 102.0, 98.0, 101.0)
WIN = (101.0, 111.0, 100.0, 108.0)
LOSS = (101.0, 103.0, 94.0, 96.0)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

MakeSignal = Callable[..., Signal]
MakeBars = Callable[..., BarBatch]
Deliver = Callable[..., Delivery]
PublishBars = Callable[[int, BarBatch], Awaitable[Delivery]]
OutcomesOn = Callable[[], Awaitable[list[Outcome]]]


async def acknowledge(bus: Bus, seq: int) -> None:
    """Bring the shard's consumer of bars to a position, as the worker does after `handle`."""
    durable = f"tracker-{SHARD}-bars"
    await bus.js.add_consumer(
        "INPUT",
        api.ConsumerConfig(
            durable_name=durable, filter_subject=f"input.bars.{SHARD}", ack_policy=api.AckPolicy.ALL
        ),
    )
    subscription = await bus.js.pull_subscribe_bind(durable, "INPUT")
    for message in await subscription.fetch(1000, timeout=0.2):
        if message.metadata.sequence.stream == seq:
            await message.ack_sync()
    await subscription.unsubscribe()


async def opened(tracker: TrackerService) -> TrackerProcessor:
    processor = tracker.processor(SHARD)
    await processor.open()
    return processor


async def rows(database: Database) -> list[tuple[Any, ...]]:
    return await database.fetch("SELECT signal, result, input_seq FROM outcomes ORDER BY ts, signal")


async def test_a_signal_is_recorded_followed_and_closed(
    tracker: TrackerService,
    bus: Bus,
    database: Database,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    make_reason: Callable[..., Reason],
    deliver: Deliver,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
) -> None:
    processor = await opened(tracker)
    first = await publish_bars(SHARD, make_bars(-1, {"A": QUIET}))
    await processor.handle("bars", [first])
    signal = make_signal(input_seq=first.seq)
    await processor.handle("signals", [deliver(signal, 1, TRACE)])
    await processor.handle("reasons", [deliver(make_reason(signal), 1, TRACE)])
    assert processor.open_signals == 1
    bars = [await publish_bars(SHARD, make_bars(n, {"A": QUIET, "B": WIN})) for n in range(3)]
    bars.append(await publish_bars(SHARD, make_bars(3, {"B": QUIET, "A": WIN})))
    await processor.handle("bars", bars)
    assert processor.open_signals == 0
    (outcome,) = await outcomes_on()
    assert (outcome.signal, outcome.result, outcome.bars) == (signal.id, "win", 4)
    assert outcome.input_seq == bars[-1].seq
    message = await bus.last("OUTCOME", f"outcome.{SHARD}.A")
    assert message is not None
    assert message.headers["traceparent"].split("-")[1] == TRACE.split("-")[1]
    assert message.headers["traceparent"] != TRACE
    assert await database.fetch("SELECT payload, traceparent FROM outcomes") == [
        (message.data.decode(), message.headers["traceparent"])
    ]
    assert await database.fetch("SELECT text FROM reasons") == [("The trend is up.",)]
    assert await database.fetch("SELECT count(*) FROM unfinished") == [(0,)]
    await processor.close()


async def test_a_redelivery_changes_nothing(
    tracker: TrackerService,
    database: Database,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    make_reason: Callable[..., Reason],
    deliver: Deliver,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
) -> None:
    signals = [deliver(make_signal(n), n + 1) for n in range(2)]
    signals[1] = deliver(make_signal(1, stop=1.0, target=900.0), 2)
    reasons = [deliver(make_reason(s.event), n) for n, s in enumerate(signals)]
    bars = [await publish_bars(SHARD, make_bars(n, {"A": bar})) for n, bar in enumerate([QUIET, WIN, LOSS])]
    for _ in range(2):
        processor = await opened(tracker)
        for _ in range(2):
            await processor.handle("signals", signals + signals)
            await processor.handle("reasons", reasons + reasons)
            await processor.handle("bars", bars)
        assert processor.open_signals == 1
    assert [(r[1], r[2]) for r in await rows(database)] == [("win", bars[1].seq)]
    assert await database.fetch("SELECT count(*) FROM signals") == [(2,)]
    assert await database.fetch("SELECT count(*) FROM reasons") == [(2,)]
    assert len(await outcomes_on()) == 1


@pytest.mark.parametrize("kept", [512, 2, 1])
async def test_a_late_signal_ends_as_if_it_had_been_in_time(
    kept: int,
    tracker: TrackerService,
    writer: Writer,
    database: Database,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    deliver: Deliver,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
    tracker_settings: TrackerSettings,
    bus: Bus,
) -> None:
    """The bars are in memory, or partly, or in the stream alone."""
    settings = tracker_settings.model_copy(update={"recent_batches": kept})
    world = [QUIET, QUIET, WIN, QUIET, LOSS, QUIET]
    bars = []
    for n, bar in enumerate(world):
        bars.append(await publish_bars(SHARD, make_bars(n, {"A": bar})))
        await publish_bars(2, make_bars(n, {"C": bar}))
    made = [make_signal(n, input_seq=bars[n].seq) for n in range(5)]
    processor = TrackerProcessor(
        SHARD, bus=bus, database=database, writer=writer, settings=settings, member="x"
    )
    await processor.open()
    await processor.handle("bars", bars[:5])
    await processor.handle("signals", [deliver(s, n) for n, s in enumerate(made, 1)])
    assert processor.open_signals == 1
    await processor.handle("bars", bars[5:])
    expected = [
        (made[0].id, "win", 2),
        (made[1].id, "win", 1),
        (made[2].id, "loss", 2),
        (made[3].id, "loss", 1),
    ]
    found = await outcomes_on()
    assert sorted((o.signal, o.result, o.bars) for o in found) == sorted(expected)
    assert {o.signal: o.input_seq for o in found} == {
        made[0].id: bars[2].seq,
        made[1].id: bars[2].seq,
        made[2].id: bars[4].seq,
        made[3].id: bars[4].seq,
    }


async def test_a_signal_ahead_of_the_bars_waits_for_its_own(
    tracker: TrackerService,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    deliver: Deliver,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
) -> None:
    bars = [await publish_bars(SHARD, make_bars(n, {"A": bar})) for n, bar in enumerate([LOSS, LOSS, WIN])]
    processor = await opened(tracker)
    await processor.handle("signals", [deliver(make_signal(input_seq=bars[1].seq), 1)])
    await processor.handle("bars", bars)
    assert [(o.result, o.bars) for o in await outcomes_on()] == [("win", 1)]


async def test_a_start_brings_open_signals_up_to_the_acknowledged_position(
    tracker: TrackerService,
    bus: Bus,
    database: Database,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    deliver: Deliver,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
) -> None:
    processor = await opened(tracker)
    await processor.handle("signals", [deliver(make_signal(), 1)])
    bars = [await publish_bars(SHARD, make_bars(n, {"A": QUIET})) for n in range(4)]
    await processor.handle("bars", bars)
    await acknowledge(bus, bars[-1].seq)
    again = await opened(tracker)
    assert (again.position, again.open_signals) == (bars[-1].seq, 1)
    await again.handle("bars", [await publish_bars(SHARD, make_bars(4, {"A": WIN}))])
    assert [(o.result, o.bars, o.best) for o in await outcomes_on()] == [("win", 5, 10.0)]


async def test_a_stop_touched_while_the_tracker_was_down_is_found_at_start(
    tracker: TrackerService,
    writer: Writer,
    bus: Bus,
    database: Database,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    deliver: Deliver,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
) -> None:
    """Died after the signal was stored, before the bars that it had to catch up with."""
    bars = [await publish_bars(SHARD, make_bars(n, {"A": bar})) for n, bar in enumerate([QUIET, LOSS, WIN])]
    lease = await leases.take(database, 4, SHARD, "one")
    signal = deliver(make_signal(input_seq=0), 1)
    await writer.write(lease, [signal_row(lease, signal)])
    await acknowledge(bus, bars[-1].seq)
    processor = await opened(tracker)
    assert processor.open_signals == 0
    assert [(o.result, o.input_seq) for o in await outcomes_on()] == [("loss", bars[1].seq)]
    await processor.handle("signals", [signal])
    assert processor.open_signals == 0
    assert len(await rows(database)) == 1


class BusWithoutPublish:
    """The real bus whose publishing fails, as when the process dies before it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def publish(self, _: object) -> None:
        raise UnavailableError("killed here")


@pytest.fixture
async def cut_off(
    bus: Bus, database: Database, writer: Writer, tracker_settings: TrackerSettings
) -> TrackerProcessor:
    """A processor that dies before it publishes."""
    broken: Any = BusWithoutPublish(bus)
    made = TrackerProcessor(
        SHARD, bus=broken, database=database, writer=writer, settings=tracker_settings, member="x"
    )
    await made.open()
    return made


async def test_killed_between_commit_and_publish_the_outcome_is_published_by_the_next(
    tracker: TrackerService,
    cut_off: TrackerProcessor,
    bus: Bus,
    database: Database,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    deliver: Deliver,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
) -> None:
    signal = deliver(make_signal(), 1, TRACE)
    await cut_off.handle("signals", [signal])
    bars = [await publish_bars(SHARD, make_bars(0, {"A": WIN}))]
    with pytest.raises(UnavailableError, match="killed here"):
        await cut_off.handle("bars", bars)
    assert len(await rows(database)) == 1
    assert await outcomes_on() == []
    again = await opened(tracker)
    (outcome,) = await outcomes_on()
    assert outcome.result == "win"
    message = await bus.last("OUTCOME", "outcome.>")
    assert message is not None
    assert message.headers["traceparent"].split("-")[1] == TRACE.split("-")[1]
    await again.handle("signals", [signal])
    await again.handle("bars", bars)
    assert again.open_signals == 0
    assert len(await outcomes_on()) == 1
    assert await database.fetch("SELECT count(*) FROM unfinished") == [(0,)]


async def test_killed_between_the_commit_of_a_late_signal_and_its_outcome(
    tracker: TrackerService,
    cut_off: TrackerProcessor,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    deliver: Deliver,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
) -> None:
    bars = [await publish_bars(SHARD, make_bars(0, {"A": WIN}))]
    await cut_off.handle("bars", bars)
    signal = deliver(make_signal(input_seq=0), 1)
    with pytest.raises(UnavailableError, match="killed here"):
        await cut_off.handle("signals", [signal])
    again = await opened(tracker)
    assert len(await outcomes_on()) == 1
    await again.handle("signals", [signal])
    await again.handle("bars", bars)
    assert (again.open_signals, len(await outcomes_on())) == (0, 1)


async def test_bars_acknowledged_by_a_former_owner_after_the_start_are_read_from_the_stream(
    tracker: TrackerService,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    deliver: Deliver,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
) -> None:
    processor = await opened(tracker)
    await processor.handle("signals", [deliver(make_signal(), 1)])
    bars = [await publish_bars(SHARD, make_bars(n, {"A": bar})) for n, bar in enumerate([QUIET, LOSS, WIN])]
    await processor.handle("bars", bars[2:])
    assert [(o.result, o.bars) for o in await outcomes_on()] == [("loss", 2)]


@pytest.mark.parametrize("source", ["signals", "reasons", "bars", "quiet bars"])
async def test_a_fenced_owner_writes_nothing(
    source: str,
    tracker: TrackerService,
    database: Database,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    make_reason: Callable[..., Reason],
    deliver: Deliver,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
) -> None:
    old = await opened(tracker)
    await old.handle("signals", [deliver(make_signal(), 1)])
    await opened(tracker)
    bar = QUIET if source == "quiet bars" else WIN
    batch = {
        "signals": deliver(make_signal(5), 2),
        "reasons": deliver(make_reason(make_signal()), 1),
    }.get(source) or await publish_bars(SHARD, make_bars(0, {"A": bar}))
    with pytest.raises(FencedError):
        await old.handle(source.removeprefix("quiet "), [batch])
    assert await database.fetch("SELECT count(*) FROM signals") == [(1,)]
    assert await database.fetch("SELECT count(*) FROM reasons") == [(0,)]
    assert await rows(database) == []
    assert await outcomes_on() == []


async def test_another_number_of_shards_has_its_own_open_signals(
    tracker: TrackerService, database: Database, make_signal: MakeSignal, deliver: Deliver
) -> None:
    processor = await opened(tracker)
    await processor.handle("signals", [deliver(make_signal(), 1)])
    assert await record.unfinished(database, 8, SHARD) == ([], [])
    found, _ = await record.unfinished(database, 4, SHARD)
    assert len(found) == 1


async def test_bars_of_an_unknown_interval_are_poison(
    tracker: TrackerService, make_signal: MakeSignal, make_bars: MakeBars, deliver: Deliver
) -> None:
    processor = await opened(tracker)
    await processor.handle("signals", [deliver(make_signal(), 1)])
    with pytest.raises(PoisonError, match="interval: '7m'"):
        await processor.handle("bars", [deliver(make_bars(0, {"A": QUIET}, interval="7m"), 1)])


async def test_an_unknown_source_is_refused(tracker: TrackerService) -> None:
    with pytest.raises(InvariantError, match="source: 'news'"):
        await (await opened(tracker)).handle("news", [])


async def test_what_is_not_bars_in_the_stream_is_passed_over(
    tracker: TrackerService,
    bus: Bus,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    deliver: Deliver,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
) -> None:
    await bus.client.publish(f"input.bars.{SHARD}", b"{]")
    await bus.client.publish(f"input.bars.{SHARD}", msgspec.json.encode({"kind": "tick", "id": "x", "ts": 1}))
    bars = [await publish_bars(SHARD, make_bars(n, {"A": bar})) for n, bar in enumerate([QUIET, WIN])]
    processor = await opened(tracker)
    await processor.handle("signals", [deliver(make_signal(), 1)])
    await processor.handle("bars", bars[1:])
    assert [o.bars for o in await outcomes_on()] == [2]


async def test_its_spans_continue_the_trace_of_the_signal(
    tracker: TrackerService,
    bus: Bus,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    make_reason: Callable[..., Reason],
    deliver: Deliver,
    publish_bars: PublishBars,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracing = telemetry.Tracing("tracker", "one", 0.0)
    monkeypatch.setattr("heliograph.common.telemetry._Holder.tracing", tracing)
    processor = await opened(tracker)
    signal = make_signal()
    other = TRACE.replace("b7ad6b7169203331", "00f067aa0ba902b7")
    await processor.handle("signals", [deliver(signal, 1, TRACE)])
    await processor.handle("reasons", [deliver(make_reason(signal), 1, other)])
    await processor.handle("bars", [await publish_bars(SHARD, make_bars(0, {"A": WIN}))])
    await tracing.flush(bus)
    stored = [m async for m in bus.read("SPAN", "span.tracker", after=0, upto=await bus.last_seq("SPAN"))]
    spans = [span for m in stored for span in msgspec.json.decode(m.data)["spans"]]
    assert [(s["name"], s["kind"], s["parent_id"]) for s in spans] == [
        ("record", "consumer", TRACE.split("-")[2]),
        ("record reason", "consumer", other.split("-")[2]),
        ("close", "producer", TRACE.split("-")[2]),
    ]
    assert {s["trace_id"] for s in spans} == {TRACE.split("-")[1]}
    assert {s["attributes"]["heliograph.signal"] for s in spans} == {signal.id}
