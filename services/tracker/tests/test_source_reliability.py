"""How reliable the sources were: counted by hand, never ahead, and the weights that it offers."""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from heliograph.common.bus import Bus
from heliograph.common.errors import HeliographError
from heliograph.common.events import BarBatch, Signal, Vote
from heliograph.common.service import Delivery
from heliograph.tracker import leases, record
from heliograph.tracker.closing import Costs
from heliograph.tracker.database import Database
from heliograph.tracker.engine import OpenSignals
from heliograph.tracker.reliability.figures import LEAST, MOST, offered, wilson
from heliograph.tracker.reliability.figures import record as figures
from heliograph.tracker.rows import outcome_row, signal_row
from heliograph.tracker.service import TrackerService
from heliograph.tracker.writer import Writer

DAY_NS = 86_400 * 10**9
WIN = (101.0, 111.0, 100.0, 108.0)
LOSS = (99.0, 100.0, 94.0, 96.0)
FLAT = (100.0, 101.0, 99.0, 100.5)

names = st.sampled_from(["trend", "technical", "swing", "pattern", "models"])


@pytest.fixture
async def start(
    database: Database,
    writer: Writer,
    make_signal: Callable[..., Signal],
    make_bars: Callable[..., BarBatch],
    deliver: Callable[..., Delivery],
) -> int:
    """Two wins, a loss against which `swing` had voted, one expired; when they began."""
    lease = await leases.take(database, 4, 1, "one")
    start = make_signal().ts

    def votes(**directions: int) -> dict[str, Any]:
        cast = [Vote(source=s, direction=d, confidence=0.8, weight=0.5) for s, d in directions.items()]
        return {"votes": cast, "sources": list(directions)}

    given_ = [
        (make_signal(0, **votes(trend=1, technical=0)), 1, WIN),
        (make_signal(1, **votes(trend=1, swing=-1), strategy="other@1"), 2, WIN),
        (make_signal(2, **votes(trend=1, swing=-1), regime="BEAR"), 3, LOSS),
        (make_signal(3, **votes(trend=1), expires=start + 4 * DAY_NS), 3, FLAT),
    ]
    await writer.write(lease, [signal_row(lease, deliver(s, n)) for n, (s, _, _) in enumerate(given_, 1)])
    for signal, day, bar in given_:
        (outcome,) = OpenSignals(Costs(), [signal]).apply(10, make_bars(day, {"A": bar}))
        await writer.write(lease, [outcome_row(lease, record.stored_outcome(outcome, ""))])
    return start


async def asked(bus: Bus, **query: object) -> dict[str, dict[str, Any]]:
    found = await bus.request("query.tracker.sources", query)
    return {one.pop("source"): one for one in found["sources"]}


async def test_each_source_by_regime(tracker: TrackerService, bus: Bus, start: int) -> None:
    assert tracker.name == "tracker"
    found = await asked(bus)
    assert list(found) == ["trend", "swing", "technical"]
    trend = found["trend"]
    assert (trend["all"]["votes"], trend["all"]["right"], trend["all"]["wrong"]) == (4, 2, 1)
    assert trend["all"]["expired"] == 1
    assert trend["all"]["hit_rate"] == pytest.approx(2 / 3)
    assert trend["all"]["expectancy"] == pytest.approx((2 + 2 - 1 + 0.1) / 4)
    assert trend["newest"] == start + 4 * DAY_NS
    assert {regime: one["votes"] for regime, one in trend["regimes"].items()} == {"BULL": 3, "BEAR": 1}
    # Against the side of a signal: wrong where it won, right where it lost.
    assert found["swing"]["regimes"]["BEAR"]["right"] == found["swing"]["regimes"]["BULL"]["wrong"] == 1
    assert found["swing"]["all"]["expectancy"] == pytest.approx((-2 + 1) / 2)
    assert found["technical"]["all"] == msgspec.to_builtins(figures(1, 0, 0, 0, 1, None))


async def test_only_what_had_ended_counts(tracker: TrackerService, bus: Bus, start: int) -> None:
    assert tracker.name == "tracker"
    ends = start + 3 * DAY_NS
    assert (await asked(bus, until=ends))["trend"]["all"]["votes"] == 1
    assert (await asked(bus, until=ends + 1))["trend"]["all"]["votes"] == 2
    assert await asked(bus, until=start) == {}


async def test_the_newest_votes_of_one_strategy(tracker: TrackerService, bus: Bus, start: int) -> None:
    assert tracker.name == "tracker"
    assert (await asked(bus, strategy="other@1"))["trend"]["all"]["right"] == 1
    newest = (await asked(bus, last=2))["trend"]["all"]
    assert (newest["wrong"], newest["expired"], newest["right"]) == (1, 1, 0)
    assert start > 0


async def test_weights_are_offered_where_asked_for(tracker: TrackerService, bus: Bus, start: int) -> None:
    assert tracker.name == "tracker"
    assert start > 0
    weights = {"trend": 0.7, "swing": 0.3}
    found = await bus.request("query.tracker.sources", {"weights": weights})
    # Three decided votes are too few to move anything, but no weight is over 50 %.
    assert found["offered"] == {"trend": 0.5, "swing": 0.5}
    with pytest.raises(HeliographError, match=r"<= 1.*weights"):
        await bus.request("query.tracker.sources", {"weights": {"trend": 2}})
    with pytest.raises(HeliographError, match=r"last"):
        await bus.request("query.tracker.sources", {"last": 0})


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_is_that_of_scipy(hits: int, count: int) -> None:
    hits = min(hits, count)
    low, high = wilson(hits, count)
    theirs = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_ten_decided_votes_move_nothing_and_eleven_move_a_step() -> None:
    weights = {"trend": 0.4, "technical": 0.3, "swing": 0.3}
    few = {"trend": figures(10, 10, 0, 0, 0, 1.0)}
    assert offered(weights, few) == weights
    enough = {"trend": figures(11, 6, 5, 0, 0, 0.1), "swing": figures(11, 5, 6, 0, 0, -0.1)}
    moved = offered(weights, enough)
    assert moved["trend"] == pytest.approx(0.44 / 1.01, abs=1e-4)
    assert moved["swing"] == pytest.approx(0.27 / 1.01, abs=1e-4)


@given(
    st.dictionaries(names, st.floats(0.001, 1.0), min_size=2),
    st.dictionaries(names, st.tuples(st.integers(0, 100), st.integers(0, 100))),
)
def test_offered_weights_are_bounded_and_sum_to_one(
    weights: dict[str, float], counts: dict[str, tuple[int, int]]
) -> None:
    records = {s: figures(right + wrong, right, wrong, 0, 0, 0.0) for s, (right, wrong) in counts.items()}
    found = offered(weights, records)
    assert math.fsum(found.values()) == pytest.approx(1.0, abs=1e-3)
    assert all(LEAST - 2e-3 <= weight <= MOST + 2e-3 for weight in found.values())


def test_a_source_that_is_off_stays_off() -> None:
    assert offered({"trend": 1.0, "swing": 0.0}, {}) == {"trend": 1.0, "swing": 0.0}
    assert offered({"trend": 0.0}, {}) == {"trend": 0.0}
