"""Two strategies on the same bars: which one did better, if it can be told at all."""

import msgspec
import numpy as np
from scipy import stats

from heliograph.lab.backtest import Result
from heliograph.lab.bars import Floats
from heliograph.lab.chance import BLOCK_WEEKS, DRAWS, SEED, Interval, bootstrap, interval
from heliograph.lab.record import Record, record

DAYS_A_WEEK = 7
LEVEL = 0.05
"""A difference is taken for real under this probability of one so large by chance."""
FLIPS = 9999
FEWEST_WEEKS = 2 * BLOCK_WEEKS
POWER = float(stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(0.8))
"""Standard errors that a difference needs to be found four times out of five."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two: its strategy, how its signals ended, and its profit on the whole capital."""

    strategy: str
    record: Record
    total_return: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A paired comparison; differences are b − a, as fractions of the capital.

    Attributes:
        verdict: in words.
        better: `a`, `b`, or `neither` where no difference is shown.
        weeks: pairs; a week without a signal of either is a pair of zeros and is left out.
        weekly: mean difference of a week's profit, `interval` by bootstrap over whole blocks of weeks.
        p: probability of a mean difference so large, if the sign of each week's were by chance.
        findable: the smallest weekly difference that would be found four times out of five.
        shared: signals that both gave.
    """

    verdict: str
    better: str
    a: Side
    b: Side
    shared: int
    weeks: int
    weekly: float
    interval: Interval | None
    p: float | None
    findable: float | None


def compare(first: Result, second: Result, names: tuple[str, str]) -> Comparison:
    """Compare two results of the same bars and period."""
    sides = [side(result, name) for result, name in zip((first, second), names, strict=True)]
    shared = len(signal_keys(first) & signal_keys(second))
    difference = weekly_difference(first, second)
    mean = float(difference.mean()) if len(difference) else 0.0
    spread, p, findable = None, None, None
    if len(difference) >= FEWEST_WEEKS and difference.any():
        drawn = [float(weeks.mean()) for (weeks,), _ in bootstrap(BLOCK_WEEKS, difference).bootstrap(DRAWS)]
        spread = interval(drawn)
        p = sign_flip(difference)
        findable = POWER * float(np.std(drawn, ddof=1))
    same = first.trades.tobytes() == second.trades.tobytes()
    better, words = judged(mean, spread, p, findable, names, identical=same)
    return Comparison(
        verdict=words,
        better=better,
        a=sides[0],
        b=sides[1],
        shared=shared,
        weeks=len(difference),
        weekly=mean,
        interval=spread,
        p=p,
        findable=findable,
    )


def side(result: Result, name: str) -> Side:
    """One of the two."""
    return Side(
        strategy=name,
        record=record(result.trades),
        total_return=float(result.ledger.profit.sum()) / max(result.ledger.symbols, 1),
    )


def signal_keys(result: Result) -> set[tuple[int, int, int]]:
    """Symbol, bar and side of each signal: what two strategies may have in common."""
    trades = result.trades
    return set(zip(*(trades[name].tolist() for name in ("symbol", "bar_ts", "side")), strict=True))


def weekly_difference(first: Result, second: Result) -> Floats:
    """Second less first, profit of each week in which either had one; shape (weeks,)."""
    one, other = first.ledger, second.ledger
    change = (other.profit - one.profit) / max(one.symbols, 1)
    week = (np.arange(len(change)) + one.first) // DAYS_A_WEEK - one.first // DAYS_A_WEEK
    active = np.bincount(week, weights=(one.profit != 0) | (other.profit != 0)) > 0
    sums: Floats = np.bincount(week, weights=change)[active].astype(np.float64)
    return sums


def sign_flip(difference: Floats) -> float:
    """Two-sided permutation test of a mean of zero: the sign of each week's difference is drawn anew."""
    found = stats.permutation_test(
        (difference,),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        n_resamples=FLIPS,
        vectorized=True,
        rng=np.random.default_rng(SEED),
    )
    return float(found.pvalue)


def judged(
    mean: float,
    spread: Interval | None,
    p: float | None,
    findable: float | None,
    names: tuple[str, str],
    *,
    identical: bool,
) -> tuple[str, str]:
    """Which is better, and a sentence that says so; both the test and the interval must agree."""
    if identical:
        return "neither", f"No difference: {names[0]} and {names[1]} gave the same signals."
    if spread is None or p is None or findable is None:
        return "neither", "No difference shown: too few weeks with a position for a test."
    between = f"95 %: {100 * spread.low:+.4f} to {100 * spread.high:+.4f}, p {p:.3f}"
    told = f"{100 * mean:+.4f} % of the capital a week ({between})"
    if p < LEVEL and spread.low > 0:
        return "b", f"{names[1]} did better than {names[0]} by {told}."
    if p < LEVEL and spread.high < 0:
        return "a", f"{names[0]} did better than {names[1]}, whose difference was {told}."
    least = f"one of {100 * findable:.4f} % would have been found four times out of five"
    return "neither", f"No difference shown between {names[0]} and {names[1]}: {told}; {least}."
