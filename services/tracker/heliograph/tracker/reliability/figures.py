"""How often a source's votes were right, and which weight that offers it. Pure.

A vote is about a signal's side: one for it is right where the signal won, one against it where it lost.
Neutral votes took no side, and expired signals decided nothing: both are counted by themselves.
"""

import math
from collections.abc import Mapping

import msgspec

Z = 1.959963984540054
"""The normal quantile of a two-sided interval of 95 %."""
ENOUGH = 10
"""A source with no more decided votes keeps its weight."""
STEP = 0.1
LEAST, MOST = 0.05, 0.5
ROUNDS = 16
DECIMALS = 4


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a source's votes came to.

    Attributes:
        votes: on signals that have ended; `right` and `wrong` those decided, `expired` those on expired
            signals, `neutral` those without a side.
        hit_rate: right / (right + wrong), 0–1; None without any. `low` and `high` its 95 % interval (Wilson).
        expectancy: mean R multiple of the votes with a side, taken on the vote's own side, expired included.
    """

    votes: int
    right: int
    wrong: int
    expired: int
    neutral: int
    hit_rate: float | None
    low: float | None
    high: float | None
    expectancy: float | None


def record(votes: int, right: int, wrong: int, expired: int, neutral: int, mean_r: float | None) -> Record:
    """The record of so many votes, `mean_r` being the mean R multiple on the votes' side."""
    decided = right + wrong
    low, high = wilson(right, decided) if decided else (None, None)
    return Record(
        votes=votes,
        right=right,
        wrong=wrong,
        expired=expired,
        neutral=neutral,
        hit_rate=right / decided if decided else None,
        low=low,
        high=high,
        expectancy=mean_r,
    )


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share, 0–1 (Wilson 1927, the score interval); `count` at least 1."""
    share = hits / count
    spread = Z * math.sqrt(share * (1.0 - share) / count + Z**2 / (4.0 * count**2))
    middle, scale = share + Z**2 / (2.0 * count), 1.0 + Z**2 / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def offered(weights: Mapping[str, float], records: Mapping[str, Record]) -> dict[str, float]:
    """Weights moved by one step: 10 % up where a source was right more often than not, 10 % down where less.

    A source with no more than 10 decided votes keeps its own. Each stays within 5 and 50 % as far as so many
    sources can, and all sum to 1. A source of weight 0 is switched off and stays so.
    """
    moved = {
        source: weight * _factor(records.get(source)) for source, weight in weights.items() if weight > 0
    }
    if not moved:
        return dict(weights)
    least, most = min(LEAST, 1.0 / len(moved)), max(MOST, 1.0 / len(moved))
    found = moved
    # Scaling to 1 can push a weight over a bound, and cutting it moves the sum.
    for _ in range(ROUNDS):
        total = math.fsum(found.values())
        found = {source: min(most, max(least, weight / total)) for source, weight in found.items()}
    total = math.fsum(found.values())
    return {source: round(found.get(source, 0.0) / total, DECIMALS) for source in weights}


def _factor(found: Record | None) -> float:
    if found is None or found.hit_rate is None or found.right + found.wrong <= ENOUGH:
        return 1.0
    if found.hit_rate == 1 / 2:
        return 1.0
    return 1.0 + STEP if found.hit_rate > 1 / 2 else 1.0 - STEP
