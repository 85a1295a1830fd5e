"""INPUT has dropped bars of an open signal: they come from the archive, or the shard waits."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from heliograph.common.bus import Bus
from heliograph.common.errors import UnavailableError
from heliograph.common.events import BarBatch, Outcome, Signal
from heliograph.common.service import Delivery
from heliograph.tracker import leases
from heliograph.tracker.database import Database
from heliograph.tracker.rows import signal_row
from heliograph.tracker.service import TrackerService
from heliograph.tracker.writer import Writer

SHARD = 1
DAY_NS = 86_400 * 10**9
PRICES = ("open", "high", "low", "close", "volume")
QUIET = (100.0, 102.0, 98.0, 101.0)
WIN = (101.0, 111.0, 100.0, 108.0)
LOSS = (101.0, 103.0, 94.0, 96.0)

MakeSignal = Callable[..., Signal]
MakeBars = Callable[..., BarBatch]
Deliver = Callable[..., Delivery]
PublishBars = Callable[[int, BarBatch], Awaitable[Delivery]]
OutcomesOn = Callable[[], Awaitable[list[Outcome]]]


class Archive:
    """The archiver's answers, out of a list of batches of one symbol."""

    def __init__(self) -> None:
        self.batches: list[BarBatch] = []
        self.asked: list[dict[str, Any]] = []

    async def answer(self, body: bytes) -> bytes:
        query = json.loads(body)
        self.asked.append(query)
        found = [
            b for b in self.batches if query["from"] <= b.ts <= query["to"] and query["symbol"] in b.symbols
        ]
        columns = {name: [getattr(b, name)[0] for b in found[-query["limit"] :]] for name in PRICES}
        return json.dumps({"interval": "1d", "ts": [b.ts for b in found], **columns}).encode()


@pytest.fixture
async def archive(bus: Bus) -> Archive:
    """An archiver on the bus."""
    made = Archive()
    await bus.respond("query.archiver.bars", made.answer)
    return made


@pytest.fixture
async def stored_signal(
    tracker: TrackerService, database: Database, writer: Writer, make_signal: MakeSignal, deliver: Deliver
) -> Signal:
    """A signal in the record that has no outcome, since the tracker was down from then on."""
    lease = await leases.take(database, 4, SHARD, "one")
    signal = make_signal(input_seq=0)
    await writer.write(lease, [signal_row(lease, deliver(signal, 1))])
    return signal


async def drop(bus: Bus, upto: int) -> None:
    """What a limit of the stream does."""
    await bus.js.purge_stream("INPUT", seq=upto + 1)


@pytest.mark.parametrize(("missing", "expected"), [(LOSS, ("loss", 2)), (QUIET, ("win", 4))])
async def test_a_touch_in_dropped_bars_is_found_in_the_archive(
    missing: tuple[float, float, float, float],
    expected: tuple[str, int],
    tracker: TrackerService,
    bus: Bus,
    database: Database,
    archive: Archive,
    stored_signal: Signal,
    make_bars: MakeBars,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
) -> None:
    """Days 0 to 2 are gone from INPUT; the archive holds 0 to 2 and, already, 3."""
    world = [make_bars(n, {"A": bar}) for n, bar in enumerate([QUIET, missing, QUIET, WIN])]
    bars = [await publish_bars(SHARD, batch) for batch in world]
    archive.batches = world
    await drop(bus, bars[2].seq)
    processor = tracker.processor(SHARD)
    await processor.open()
    await processor.handle("bars", bars[3:])
    assert [(o.result, o.bars) for o in await outcomes_on()] == [expected]
    assert processor.open_signals == 0
    ((signal, after, first, filled),) = await database.fetch(
        "SELECT signal, after, first, bars FROM input_gaps"
    )
    assert (signal, after, first) == (stored_signal.id, 0, bars[3].seq)
    assert filled == expected[1]


async def test_bars_that_the_archive_has_given_are_not_counted_twice(
    tracker: TrackerService,
    bus: Bus,
    archive: Archive,
    stored_signal: Signal,
    make_bars: MakeBars,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The archive is read in pages; it holds bars that INPUT still has."""
    monkeypatch.setattr("heliograph.tracker.gaps.PAGE_BARS", 3)
    world = [make_bars(n, {"A": QUIET}) for n in range(8)]
    bars = [await publish_bars(SHARD, batch) for batch in world]
    archive.batches = world[:6]
    await drop(bus, bars[1].seq)
    processor = tracker.processor(SHARD)
    await processor.open()
    await processor.handle("bars", bars[2:])
    await processor.handle("bars", [await publish_bars(SHARD, make_bars(8, {"A": WIN}))])
    assert [(o.result, o.bars) for o in await outcomes_on()] == [("win", 9)]
    assert [query["from"] - stored_signal.ts for query in archive.asked] == [
        n * DAY_NS for n in range(0, 42, 3)
    ]


async def test_without_an_archiver_the_shard_waits(
    tracker: TrackerService,
    bus: Bus,
    database: Database,
    stored_signal: Signal,
    make_bars: MakeBars,
    publish_bars: PublishBars,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("heliograph.tracker.gaps.WITHIN_S", 0.3)
    bars = [await publish_bars(SHARD, make_bars(n, {"A": QUIET})) for n in range(3)]
    await drop(bus, bars[1].seq)
    with pytest.raises(UnavailableError, match=r"query.archiver.bars"):
        await tracker.processor(SHARD).open()
    assert await database.fetch("SELECT count(*) FROM input_gaps") == [(0,)]


async def test_what_is_dropped_while_it_runs_makes_the_shard_start_again(
    tracker: TrackerService,
    bus: Bus,
    stored_signal: Signal,
    make_bars: MakeBars,
    publish_bars: PublishBars,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nine of ten bars are dropped before they are delivered."""
    monkeypatch.setattr("heliograph.tracker.processor.LOOK_S", 0.0)
    processor = tracker.processor(SHARD)
    await processor.open()
    bars = [await publish_bars(SHARD, make_bars(n, {"A": QUIET})) for n in range(10)]
    await processor.handle("bars", bars[:1])
    await drop(bus, bars[8].seq)
    with pytest.raises(UnavailableError, match="INPUT begins at 10, shard 1 saw it up to 1: start again"):
        await processor.handle("bars", bars[9:])


async def test_what_is_dropped_after_it_was_seen_changes_nothing(
    tracker: TrackerService,
    bus: Bus,
    stored_signal: Signal,
    make_bars: MakeBars,
    publish_bars: PublishBars,
    outcomes_on: OutcomesOn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("heliograph.tracker.processor.LOOK_S", 0.0)
    processor = tracker.processor(SHARD)
    await processor.open()
    for n in range(6):
        seen = await publish_bars(SHARD, make_bars(n, {"A": QUIET if n < 5 else LOSS}))
        await processor.handle("bars", [seen])
        await drop(bus, seen.seq - 1)
    assert [(o.result, o.bars) for o in await outcomes_on()] == [("loss", 6)]
