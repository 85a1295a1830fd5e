"""When a symbol is polled: tiers, adaptive intervals, groups, and the schedule that comes of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from heliograph.common.intervals import interval_ns
from heliograph.fetcher.live.adaptive import Pace, intervals
from heliograph.fetcher.live.correlation import groups
from heliograph.fetcher.live.recent import Recent
from heliograph.fetcher.live.rounds import Rounds, Rules
from heliograph.fetcher.live.schedule import Plan, due, wait
from heliograph.fetcher.live.snapshot import Minute, rows_of
from heliograph.fetcher.live.tiers import Tier, tiers

MINUTE = interval_ns("1m")
NOON = 1_700_000_040_000_000_000 // MINUTE * MINUTE
LATER = NOON + 100 * MINUTE
PACE = Pace(intervals=(5, 15, 60), off_hours=3, volatile=((5, 0.5), (2, 0.75)), calm=(0.5, 2))
RULES = Rules(
    high=frozenset({"AAPL", "NVDA", "TSLA"}),
    medium=frozenset({"MSFT", "GOOGL", "META"}),
    busiest=0,
    pace=PACE,
    correlation=0.7,
    call_symbols=100,
)


def test_named_symbols_and_the_busiest_are_high() -> None:
    names = ["AAPL", "AMD", "GOOGL", "IBM", "MSFT", "XOM"]
    found = tiers(
        names,
        np.array([np.nan, 5.0, 9.0, 0.0, 1.0, 4.0]),
        high=RULES.high,
        medium=RULES.medium,
        busiest=2,
    )
    assert found.tolist() == [Tier.HIGH, Tier.HIGH, Tier.HIGH, Tier.LOW, Tier.MEDIUM, Tier.LOW]


def test_who_did_not_trade_is_not_among_the_busiest() -> None:
    found = tiers(["A", "B"], np.array([0.0, np.nan]), high=(), medium=(), busiest=2)
    assert found.tolist() == [Tier.LOW, Tier.LOW]


@pytest.mark.parametrize(
    ("volatility", "is_open", "factor"),
    [
        (np.nan, True, 1.0),
        (1.0, True, 1.0),
        (0.5, True, 1.0),
        (0.49, True, 2.0),
        (2.0, True, 1.0),
        (2.01, True, 0.75),
        (5.0, True, 0.75),
        (5.01, True, 0.5),
        (1.0, False, 3.0),
        (6.0, False, 1.5),
        (0.1, False, 6.0),
    ],
)
@pytest.mark.parametrize(("tier", "seconds"), [(Tier.HIGH, 5), (Tier.MEDIUM, 15), (Tier.LOW, 60)])
def test_intervals_follow_volatility_and_hours(
    volatility: float, *, is_open: bool, factor: float, tier: Tier, seconds: int
) -> None:
    found = intervals(PACE, np.array([tier], dtype=np.int8), np.array([volatility]), np.array([is_open]))
    assert found.tolist() == [seconds * factor]
    assert PACE.least()[tier] <= found[0] <= PACE.longest()[tier]


def minute(number: int, price: float, *, high: float = 0, low: float = 0, volume: float = 10.0) -> Minute:
    return Minute(NOON + number * MINUTE, price, high or price, low or price, price, volume)


def test_volatility_is_the_range_of_the_last_hour_over_its_last_close() -> None:
    recent = Recent(["A", "B", "C"])
    recent.take(rows_of("", [("A", minute(0, 100, high=150))]), LATER)
    recent.take(rows_of("", [("A", minute(1, 100, high=104)), ("B", minute(1, 50))]), LATER)
    recent.take(rows_of("", [("A", minute(60, 200, low=102)), ("B", minute(60, 40))]), LATER)
    found = recent.volatility()
    assert found[0] == pytest.approx(100 * (200 - 100) / 200)  # minute 0 is older than the hour
    assert found[1] == pytest.approx(100 * 10 / 40)
    assert np.isnan(found[2])
    assert recent.traded().tolist() == [3000.0, 900.0, 0.0]


def test_bad_bars_do_not_count() -> None:
    recent = Recent(["A"])
    bad = [
        Minute(NOON, np.nan, np.nan, np.nan, np.nan, np.nan),
        Minute(NOON, 1, 1, 1, -1, 1),
        Minute(NOON, 1, 1, 0, 1, 1),
        Minute(NOON, 1, 1, 2, 1, 1),
    ]
    for bar in bad:
        recent.take(rows_of("", [("A", bar)]), LATER)
    recent.take(rows_of("", [("unknown", minute(0, 1))]), LATER)
    recent.take(rows_of("", [("A", minute(100, 1))]), LATER)
    assert recent.traded().tolist() == [0.0]


def test_returns_are_those_between_bars_that_follow_each_other() -> None:
    recent = Recent(["A"])
    for number, price in ((0, 100.0), (1, 110.0), (3, 120.0), (4, 60.0)):
        recent.take(rows_of("", [("A", minute(number, price))]), LATER)
    found = recent.returns()[0]
    assert found[-1] == pytest.approx(np.log(0.5))
    assert np.isfinite(found).sum() == 2


def moves(seed: int, count: int = 59) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count)


def test_those_that_move_together_are_a_group() -> None:
    one, other = moves(1), moves(2)
    few = np.where(np.arange(59) < 19, one, np.nan)
    returns = np.stack([one, other, one * 3 + 0.1 * moves(3), -one, other, few, np.zeros(59)])
    found = groups(returns, np.arange(7), 0.7, 10)
    assert found[0] == found[2]
    assert found[1] == found[4]
    assert len(set(found.tolist())) == 5


def test_a_group_keeps_its_limit_and_takes_the_likest() -> None:
    one = moves(1)
    returns = np.stack([one + noise * moves(2) for noise in (0.0, 0.3, 0.1, 0.2)])
    assert groups(returns, np.arange(4), 0.5, 2).tolist() == [0, 1, 0, 1]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 30), st.integers(1, 5), st.integers(0, 9), st.floats(0.1, 1.0))
def test_every_symbol_is_in_one_group_within_the_limit(
    count: int, limit: int, seed: int, threshold: float
) -> None:
    rng = np.random.default_rng(seed)
    returns = np.where(
        rng.random((count, 59)) < 0.2, np.nan, rng.normal(size=(count, 59)) + rng.normal(size=59)
    )
    order = rng.permutation(count)
    found = groups(returns, order, threshold, limit)
    assert (found >= 0).all()
    assert (found < max(count, 1)).all()
    assert np.bincount(found, minlength=1).max() <= limit
    assert found.tolist() == groups(returns, order, threshold, limit).tolist()


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    count = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    tier = rng.integers(0, 3, count).astype(np.int8)
    volatility = np.where(rng.random(count) < 0.2, np.nan, rng.random(count) * 8)
    return Plan(
        market=rng.integers(0, 2, count),
        tier=tier,
        interval=intervals(PACE, tier, volatility, rng.random(count) < 0.5),
        least=PACE.least()[tier],
        volatility=volatility,
        group=rng.integers(0, count, count),
        limit=draw(st.integers(1, 5)),
    )


@settings(deadline=None, max_examples=60)
@given(plans())
def test_a_round_asks_for_everyone_once_in_whole_calls_of_one_market(plan: Plan) -> None:
    calls = due(plan, np.full(len(plan.group), -np.inf), 0.0)
    assert sorted(row for call in calls for row in call) == list(range(len(plan.group)))
    for call in calls:
        assert 0 < len(call) <= plan.limit
        assert len(set(plan.market[call].tolist())) == 1
    assert calls == due(plan, np.full(len(plan.group), -np.inf), 0.0)


@settings(deadline=None, max_examples=60)
@given(plans())
def test_the_best_tier_then_the_most_volatile_come_first(plan: Plan) -> None:
    alone = Plan(
        market=np.zeros_like(plan.market),
        tier=plan.tier,
        interval=plan.interval,
        least=plan.least,
        volatility=plan.volatility,
        group=np.arange(len(plan.group)),
        limit=1,
    )
    rows = [row for call in due(alone, np.full(len(plan.group), -np.inf), 0.0) for row in call]
    keys = [(int(plan.tier[row]), -float(np.nan_to_num(plan.volatility[row], nan=-1.0)), row) for row in rows]
    assert keys == sorted(keys)


@settings(deadline=None, max_examples=40)
@given(plans(), st.floats(0.1, 20.0))
def test_nobody_starves_and_nobody_is_asked_too_often(plan: Plan, late: float) -> None:
    """Within its longest interval, late by no more than the caller is, and never under its shortest."""
    asked = np.full(len(plan.group), -np.inf)
    now, longest = 0.0, PACE.longest()[plan.tier]
    for _ in range(60):
        for row in (row for call in due(plan, asked, now) for row in call):
            if np.isfinite(asked[row]):
                assert plan.least[row] <= now - asked[row] <= longest[row] + late + 1e-9
            asked[row] = now
        assert (now - asked <= longest + late + 1e-9).all()
        now += max(wait(plan, asked, now), late)


def test_those_of_a_group_come_along_when_half_of_their_time_has_passed() -> None:
    plan = Plan(
        market=np.zeros(3, dtype=np.int64),
        tier=np.array([0, 2, 2], dtype=np.int8),
        interval=np.array([5.0, 60.0, 60.0]),
        least=np.array([2.5, 30.0, 30.0]),
        volatility=np.array([1.0, 2.0, 3.0]),
        group=np.array([0, 0, 2]),
        limit=10,
    )
    asked = np.array([-5.0, -30.0, -59.0])
    assert due(plan, asked, 0.0) == [[1, 0]]
    assert due(plan, np.array([-5.0, -29.0, -59.0]), 0.0) == [[0]]
    assert due(plan, np.array([-4.0, -59.0, -59.0]), 0.0) == []
    assert wait(plan, asked, 0.0) == 0.0
    assert wait(plan, np.zeros(3), 1.0) == 4.0


@pytest.mark.parametrize(
    ("symbol", "times"), [("TSLA", [0, 5, 10]), ("META", [0, 15, 30]), ("IBM", [0, 60, 120])]
)
def test_the_defaults_ask_each_tier_at_its_interval(symbol: str, times: list[int]) -> None:
    rounds = Rounds([symbol], RULES)
    found = [second for second in range(130) if rounds.next_call(second, stocks_open=True)]
    assert found[:3] == times


def test_crypto_is_asked_at_all_hours_and_apart_from_stocks() -> None:
    rounds = Rounds(["BTC/USD", "IBM"], RULES)
    calls = [rounds.next_call(0, stocks_open=False) for _ in range(3)]
    assert sorted(calls) == [[], ["BTC/USD"], ["IBM"]]
    assert rounds.wait(0, stocks_open=False) == 60
    assert rounds.next_call(60, stocks_open=False) == ["BTC/USD"]
    assert rounds.next_call(179, stocks_open=False) == ["BTC/USD"]
    assert rounds.next_call(180, stocks_open=False) == ["IBM"]


def test_bars_change_tiers_intervals_and_groups() -> None:
    names = ["A", "B", "C"]
    rounds = Rounds(names, replace(RULES, busiest=1))
    path = 100 * np.exp(np.cumsum(moves(5, 60)) * 0.02)
    for number in range(60):
        bars = [("A", path[number], 1.0), ("B", path[number] ** 1.2, 500.0), ("C", 50.0, 1.0)]
        rounds.take(rows_of("", [(n, minute(number, p, volume=v)) for n, p, v in bars]), LATER)
    rounds.group(rounds.grouping()())
    assert rounds.next_call(0, stocks_open=True) == ["B", "A", "C"]
    assert rounds.wait(0, stocks_open=True) == 2.5  # B trades most, and moves by more than 5 %
    assert rounds.next_call(2.5, stocks_open=True) == ["B"]
    assert [rounds.next_call(30 + n, stocks_open=True) for n in range(2)] == [["B", "A"], []]
