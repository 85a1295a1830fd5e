"""Comparing, fitting and walking: what is there is found, and what is not there is not."""

from pathlib import Path

import numpy as np
import pytest

from heliograph.common.outcomes import LOSS, WIN
from heliograph.consensus.engine import Rules, Weights
from heliograph.lab.backtest import Job, Result, run
from heliograph.lab.bars import DAY_NS
from heliograph.lab.compare import compare, sign_flip, weekly_difference
from heliograph.lab.fitting import ENOUGH, fit, seen
from heliograph.lab.ledger import Ledger
from heliograph.lab.optimize import optimise
from heliograph.lab.period import Period
from heliograph.lab.strategy import Strategy, live_strategy
from heliograph.lab.trades import Trades, layout
from heliograph.lab.walk import walk

from .conftest import MakeFolder

NAMES = ("a@1", "b@1")
WEEKS = 120
SOURCES = ("trend", "technical")


def result(profit: np.ndarray) -> Result:
    """A result with so much profit a day on one symbol, and trades of its own."""
    ledger = Ledger(
        first=4, profit=profit, held=profit, bars=np.ones(len(profit), np.int64), symbols=2, holding_ns=0.0
    )
    trades = np.zeros(1, layout(2))
    trades["pnl"] = profit.sum()
    return Result(
        symbols=["A", "B"],
        intervals=["1d", "1d"],
        bars=1,
        gaps=0,
        refused={},
        problems=[],
        trades=trades,
        ids=[],
        ledger=ledger,
    )


def noise(seed: int, mean: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.01, 7 * WEEKS)


def test_profits_are_paired_by_week() -> None:
    # Day 4 of 1970 was a Monday in the first of weeks that begin on Thursdays: three days, then whole weeks.
    one, other = np.zeros(10), np.zeros(10)
    other[:3] = 0.02
    other[3:] = 0.01
    assert weekly_difference(result(one), result(other)) == pytest.approx([0.03, 0.035])


def test_a_real_difference_is_found_on_either_side() -> None:
    base, better = result(noise(1, 0.0)), result(noise(1, 0.0) + noise(2, 0.003))
    found = compare(base, better, NAMES)
    assert found.better == "b"
    assert found.p is not None
    assert found.p < 0.01
    assert "b@1 did better than a@1" in found.verdict
    assert compare(better, base, NAMES).better == "a"


def test_chance_is_no_difference() -> None:
    verdicts = [compare(result(noise(n, 0)), result(noise(n + 500, 0)), NAMES) for n in range(12)]
    assert sum(found.better != "neither" for found in verdicts) <= 2
    assert "No difference shown" in next(f.verdict for f in verdicts if f.better == "neither")
    assert all(f.findable is not None and f.findable > 0 for f in verdicts)


def test_the_same_signals_and_too_few_weeks_are_said() -> None:
    one = result(noise(1, 0))
    assert compare(one, one, NAMES).verdict == "No difference: a@1 and b@1 gave the same signals."
    few = compare(result(noise(1, 0)[:20]), result(noise(2, 0)[:20]), NAMES)
    assert few.verdict.startswith("No difference shown: too few weeks")


def test_the_sign_flip_of_three_weeks_by_hand() -> None:
    # Of the eight signs of (1, 2, 3) two give a sum as far from zero as 6.
    assert sign_flip(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 8)


def opportunities(count: int, *, informed: bool) -> Trades:
    """Signals of one view; the first source is right 70 % of the time, or nobody is."""
    random = np.random.default_rng(11)
    made = np.zeros(count, layout(2))
    made["view"] = 1
    made["side"] = random.choice([-1, 1], count)
    made["ts"] = np.sort(random.integers(0, 300, count)) * DAY_NS
    made["closed"] = made["ts"] + 2 * DAY_NS
    made["direction"] = random.choice([-1, 1], (count, 2))
    made["confidence"] = random.uniform(0.5, 0.95, (count, 2))
    right = made["direction"][:, 0] == made["side"]
    chance = np.where(right, 0.7, 0.3) if informed else 0.5
    made["result"] = np.where(random.random(count) < chance, WIN, LOSS)
    return made


def strategy() -> Strategy:
    return Strategy(weights=Weights(name="test", version="1"), rules=Rules(), sources=SOURCES)


def test_the_source_that_knows_gets_the_weight() -> None:
    fitted, fits = fit(strategy(), opportunities(3000, informed=True))
    row = fitted.weights.views["TRENDING"]
    assert row["trend"] > 0.9
    assert sum(row.values()) == pytest.approx(1, abs=1e-3)
    assert fitted.name.startswith("test@1-")
    found = next(f for f in fits if f.view == "TRENDING")
    assert found.loss is not None
    assert found.constant is not None
    assert found.loss < found.constant - 0.05
    assert fit(strategy(), opportunities(3000, informed=True))[0] == fitted


def test_without_enough_signals_the_weights_stay() -> None:
    fitted, fits = fit(strategy(), opportunities(ENOUGH - 1, informed=True))
    assert fitted == strategy()
    assert all(found.weights is None for found in fits)
    assert f"{ENOUGH - 1} ended signals, expected at least {ENOUGH}" in fits[1].why


def test_where_votes_say_nothing_the_loss_says_so() -> None:
    _, fits = fit(strategy(), opportunities(3000, informed=False))
    found = next(f for f in fits if f.view == "TRENDING")
    assert found.loss is not None
    assert found.constant is not None
    assert found.loss > found.constant - 0.005


def test_only_what_had_ended_is_seen() -> None:
    trades = opportunities(100, informed=True)
    trades["bar_ts"] = trades["ts"] - DAY_NS
    period = Period(50 * DAY_NS, 120 * DAY_NS)
    found = seen(trades, period)
    assert len(found) > 5
    assert (found["bar_ts"] >= period.start).all()
    assert (found["closed"] <= period.end).all()
    assert (trades["ts"][(trades["bar_ts"] >= period.start)] > period.end).any()


@pytest.fixture
def market(walks: MakeFolder) -> Path:
    return walks({f"S{n:02d}": 420 for n in range(12)})


def test_random_walks_give_no_weights_worth_taking(market: Path) -> None:
    found, candidate = optimise(Job(folder=market, strategy=live_strategy()), chunk=5)
    assert not found.accepted
    assert found.verdict.startswith("Not accepted")
    assert found.validation[1] < found.test
    assert found.comparison is None or found.comparison.better != "b"
    assert candidate.sources == live_strategy().sources


def test_a_walk_reports_its_test_parts_alone(market: Path) -> None:
    job = Job(folder=market, strategy=live_strategy())
    found = walk(job, (200, 40, 30), chunk=5)
    current = run(job)
    assert len(found.steps) == (420 - 270) // 30 + 1
    assert found.record.signals == sum(step.record.signals for step in found.steps) > 10
    assert found.first_day == found.steps[0].test
    for step in found.steps:
        assert step.train < step.validation < step.test < step.end
        assert step.chosen in {job.strategy.name, step.candidate}
    kept = [step for step in found.steps if step.chosen == job.strategy.name]
    assert kept
    for step in kept:
        days = current.trades["bar_ts"].astype("datetime64[ns]").astype("datetime64[D]").astype(str)
        inside = (days >= step.test) & (days < step.end)
        assert step.record.signals == int(inside.sum())


def test_a_walk_does_not_depend_on_chunks(market: Path) -> None:
    job = Job(folder=market, strategy=live_strategy())
    one, other = (walk(job, (240, 60, 60), chunk=size) for size in (3, 100))
    assert one.record == other.record
    assert one.steps == other.steps
    assert one.portfolio.total_return == pytest.approx(other.portfolio.total_return)
