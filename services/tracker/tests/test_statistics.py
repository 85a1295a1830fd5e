"""The figures of the record, counted by hand; and the quality of a signal."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from heliograph.common.bus import Bus
from heliograph.common.errors import HeliographError
from heliograph.common.events import BarBatch, Signal
from heliograph.common.service import Delivery
from heliograph.common.standing import standing
from heliograph.tracker import leases, record
from heliograph.tracker.closing import Costs
from heliograph.tracker.database import Database
from heliograph.tracker.engine import OpenSignals
from heliograph.tracker.quality import quality
from heliograph.tracker.rows import outcome_row, signal_row
from heliograph.tracker.service import TrackerService
from heliograph.tracker.statistics import coverage, win_rate
from heliograph.tracker.writer import Writer

DAY_NS = 86_400 * 10**9
WIN = (101.0, 111.0, 100.0, 108.0)
LOSS = (99.0, 100.0, 94.0, 96.0)
FLAT = (100.0, 101.0, 99.0, 100.5)

MakeSignal = Callable[..., Signal]


@pytest.fixture
async def recorded(
    database: Database,
    writer: Writer,
    make_signal: MakeSignal,
    make_bars: Callable[..., BarBatch],
    deliver: Callable[..., Delivery],
) -> dict[str, Signal]:
    """A: two wins, a loss, one expired, one open. B: one open long past its expiry. C: one open."""
    lease = await leases.take(database, 4, 1, "one")
    start = make_signal().ts

    def later(n: int, **changes: Any) -> Signal:
        return make_signal(n, **({"expires": start + (n + 30) * DAY_NS} | changes))

    made = {
        "win": later(0, confidence=96.0),
        "second win": later(1, confidence=85.0, strategy="other@1"),
        "loss": later(2, confidence=84.99, regime="BEAR"),
        "expired": later(3, confidence=75.0, expires=start + 4 * DAY_NS),
        "open": later(40, confidence=74.99),
        "overdue": later(0, symbol="B", confidence=80.0),
        "second of B": later(31, symbol="B", confidence=80.0),
        "alone": later(5, symbol="C", confidence=80.0, action="SELL"),
    }
    await writer.write(lease, [signal_row(lease, deliver(s, n)) for n, s in enumerate(made.values(), 1)])
    for name, day, bar in (("win", 5, WIN), ("second win", 6, WIN), ("loss", 7, LOSS), ("expired", 3, FLAT)):
        (outcome,) = OpenSignals(Costs(), [made[name]]).apply(10, make_bars(day, {"A": bar}))
        await writer.write(lease, [outcome_row(lease, record.stored_outcome(outcome, ""))])
    return made


async def groups(bus: Bus, **query: object) -> dict[str, dict[str, Any]]:
    found = (await bus.request("query.tracker.statistics", query))["groups"]
    return {group.pop("key"): group for group in found}


async def test_the_figures_of_all(tracker: TrackerService, bus: Bus, recorded: dict[str, Signal]) -> None:
    found = await groups(bus)
    net = [10 - 0.17, 10 - 0.17, -5 - 0.17, 0.5 - 0.17]
    assert list(found) == ["all"]
    assert found["all"] == {
        "signals": 8,
        "open": 4,
        "overdue": 1,
        "outcomes": 4,
        "wins": 2,
        "losses": 1,
        "expired": 1,
        "win_rate": 2 / 3,
        "coverage": 4 / 5,
        "profit_factor": pytest.approx((net[0] + net[1] + net[3]) / -net[2]),
        "pnl_net": pytest.approx(sum(net) / 4),
        "r_multiple": pytest.approx((2 + 2 - 1 + 0.1) / 4),
        "bars": 1.0,
    }
    stats = await bus.request("query.tracker.stats", {})
    assert (stats["win_rate"], stats["due_without_outcome"], stats["open"]) == (2 / 3, 1, 4)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("symbol", {"A": (5, 2, 1, 1), "B": (2, 0, 0, 0), "C": (1, 0, 0, 0)}),
        ("strategy", {"default@1": (7, 1, 1, 1), "other@1": (1, 1, 0, 0)}),
        ("regime", {"BULL": (7, 2, 0, 1), "BEAR": (1, 0, 1, 0)}),
        ("action", {"BUY": (7, 2, 1, 1), "SELL": (1, 0, 0, 0)}),
        (
            "bucket",
            {"95-100": (1, 1, 0, 0), "85-95": (1, 1, 0, 0), "75-85": (5, 0, 1, 1), "0-75": (1, 0, 0, 0)},
        ),
    ],
)
async def test_the_figures_by_a_property(
    by: str,
    expected: dict[str, tuple[int, ...]],
    tracker: TrackerService,
    bus: Bus,
    recorded: dict[str, Signal],
) -> None:
    found = await groups(bus, by=by)
    assert {key: (g["signals"], g["wins"], g["losses"], g["expired"]) for key, g in found.items()} == expected


async def test_the_figures_of_a_part(tracker: TrackerService, bus: Bus, recorded: dict[str, Signal]) -> None:
    (only,) = (await groups(bus, symbol="A", strategy="default@1")).values()
    assert (only["signals"], only["wins"], only["coverage"]) == (4, 1, 1.0)
    (part,) = (await groups(bus, since=recorded["second win"].ts, until=recorded["expired"].ts)).values()
    assert (part["signals"], part["wins"], part["losses"]) == (2, 1, 1)
    (alone,) = (await groups(bus, symbol="C")).values()
    assert [alone[name] for name in ("win_rate", "coverage", "profit_factor", "pnl_net", "bars")] == [
        None
    ] * 5
    assert await groups(bus, symbol="Z") == {}
    with pytest.raises(HeliographError, match="symbol: "):
        await groups(bus, symbol="")
    with pytest.raises(HeliographError, match="by"):
        await groups(bus, by="colour")


def test_one_definition() -> None:
    assert (win_rate(3, 1), win_rate(0, 2), win_rate(0, 0)) == (0.75, 0.0, None)
    assert (coverage(3, 1), coverage(0, 2), coverage(0, 0)) == (0.75, 0.0, None)


@pytest.mark.parametrize(
    ("changes", "ended", "score", "grade"),
    [
        # 32.5 + 20 + 15 + 7.5 + 10·(10/5)/3
        ({}, (0, 0), 81.67, "HIGH"),
        # 38 + 20 + 15 + 15 + 10: reward of three times the risk
        ({"confidence": 95.0, "target": 115.0}, (4, 0), 98.0, "EXCELLENT"),
        # 32 + 12 + 7.5 + 15·(1/4) + 10/3
        (
            {"confidence": 80.0, "agreement": 0.6, "regime": "CHOP", "target": 105.0},
            (1, 3),
            58.58,
            "FAIR",
        ),
        # 30 + 20 + 0 + 7.5 + 20/3: against the regime
        ({"confidence": 75.0, "regime": "BEAR"}, (0, 0), 64.17, "FAIR"),
        # the same for a SELL, with the regime; 30 + 20 + 15 + 7.5 + 20/3
        ({"confidence": 75.0, "regime": "BEAR", "action": "SELL"}, (0, 0), 79.17, "HIGH"),
        # 20 + 10 + 3.75 + 0 + 20/3
        ({"confidence": 50.0, "agreement": 0.5, "regime": "CRISIS"}, (0, 9), 40.42, "POOR"),
        # 30 + 10 + 7.5 + 15 + 20/3
        ({"confidence": 75.0, "agreement": 0.5, "regime": "UNKNOWN"}, (2, 0), 69.17, "GOOD"),
    ],
)
def test_the_quality_of_a_signal_by_hand(
    changes: dict[str, Any], ended: tuple[int, int], score: float, grade: str, make_signal: MakeSignal
) -> None:
    found = quality(make_signal(**changes), *ended)
    assert (found.score, found.grade) == (score, grade)
    parts = (found.confidence, found.agreement, found.regime, found.history, found.reward)
    assert sum(parts) == pytest.approx(found.score, abs=0.02)


async def test_the_quality_counts_nothing_that_ended_later(
    tracker: TrackerService, bus: Bus, recorded: dict[str, Signal]
) -> None:
    """Nothing of A has ended before day 0, nor within the 30 days before day 40."""
    assert (await bus.request("query.tracker.quality", {"id": recorded["win"].id}))["history"] == 7.5
    assert (await bus.request("query.tracker.quality", {"id": recorded["open"].id}))["history"] == 7.5
    with pytest.raises(HeliographError, match="expected the id of a signal"):
        await bus.request("query.tracker.quality", {"id": "no such"})


async def test_the_quality_knows_the_thirty_days_before(
    tracker: TrackerService,
    bus: Bus,
    database: Database,
    writer: Writer,
    recorded: dict[str, Signal],
    make_signal: MakeSignal,
    deliver: Callable[..., Delivery],
) -> None:
    lease = await leases.take(database, 4, 1, "one")
    after = make_signal(20)
    await writer.write(lease, [signal_row(lease, deliver(after, 99))])
    assert (await bus.request("query.tracker.quality", {"id": after.id}))["history"] == 10.0


async def test_open_signals_tell_how_they_stand(
    tracker: TrackerService,
    bus: Bus,
    make_signal: MakeSignal,
    make_bars: Callable[..., BarBatch],
    deliver: Callable[..., Delivery],
) -> None:
    processors = [tracker.processor(shard) for shard in range(4)]
    for each in processors:
        await each.open()
    processor = processors[1]
    buy, sell = make_signal(), make_signal(symbol="B", action="SELL")
    await processor.handle("signals", [deliver(buy, 1), deliver(sell, 2)])
    split = msgspec.structs.replace(make_bars(1, {"A": (50.0, 52.0, 49.0, 51.0)}), v=2, splits={"A": 2.0})
    await processor.handle("bars", [deliver(make_bars(0, {"A": FLAT, "B": FLAT}), 1), deliver(split, 2)])
    found = await standing(bus)
    by_id = {p.signal: p for p in found.positions}
    assert (by_id[buy.id].last, by_id[buy.id].bars) == (102.0, 2)
    mine = by_id[buy.id]
    assert [mine.pnl, mine.best, mine.worst] == pytest.approx([2.0, 4.0, -2.0])
    assert mine.r_multiple == pytest.approx(2.0 / (buy.entry - buy.stop))
    assert by_id[sell.id].pnl == pytest.approx(-0.5)
    assert by_id[sell.id].ts == sell.ts + DAY_NS
    assert (found.total, found.ahead, found.missing_shards) == (2, 1, [])
    assert found.pnl == pytest.approx(1.5)
    assert found.r_multiple == pytest.approx(sum(p.r_multiple for p in found.positions))
    only = await standing(bus, symbol="B", limit=1)
    assert [p.symbol for p in only.positions] == ["B"]
    assert (await standing(bus, limit=1)).total == 2
    with pytest.raises(HeliographError, match="limit"):
        await bus.request("query.tracker.open", {"limit": 0})
    for each in processors:
        await each.close()
    assert await bus.ask_all("query.tracker.open", {}, 10.0, 1) == [{"shards": {}}]
