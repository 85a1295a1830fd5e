"""Which symbols are asked for now, and in which calls. Pure: the time is an argument."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from heliograph.fetcher.provider import Numbers

TOGETHER = 0.5
"""Share of its interval after which a symbol may come along with one that it moves with."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What polling knows of each symbol; every column has shape (symbols,).

    Attributes:
        market: number of the market, from 0; a call asks for symbols of one market.
        tier: the most frequent first.
        interval: seconds between two polls; `least` the shortest that may ever be.
        volatility: percent, NaN where not known.
        group: number of the group that it is asked for with, from 0 and under the number of symbols.
        limit: symbols of a call at most.
    """

    market: NDArray[np.int64]
    tier: NDArray[np.int8]
    interval: Numbers
    least: Numbers
    volatility: Numbers
    group: NDArray[np.int64]
    limit: int


def due(plan: Plan, asked: Numbers, now: float) -> list[list[int]]:
    """The calls that are due: rows of the plan, each at most once over all calls.

    A symbol is due when its interval has passed. With it come those of its group and market of whose interval
    half has passed, and their shortest one. Groups follow by the best tier in them, then by their most
    volatile symbol, and within a group the most volatile is first. A group goes as a whole into the call that
    is open for its market, or into a new one where it has no room.

    Args:
        plan: of all symbols.
        asked: when each was asked for last, −inf for never; `now` of the same clock, seconds.
    """
    since = now - asked
    is_due = since >= plan.interval
    along = since >= np.maximum(plan.least, TOGETHER * plan.interval)
    # The market is part of the group, so that a group is never torn between two calls for that.
    group = plan.group * (int(plan.market.max(initial=0)) + 1) + plan.market
    chosen = np.flatnonzero(is_due | (along & np.isin(group, group[is_due])))
    first = plan.tier.astype(np.float64)
    calm = -np.nan_to_num(plan.volatility, nan=-1.0)
    best_tier, best_calm = _least(first, group, chosen), _least(calm, group, chosen)
    keys = (chosen, calm[chosen], group[chosen], best_calm[group[chosen]], best_tier[group[chosen]])
    return _packed(plan, chosen[np.lexsort(keys)], group)


def _least(value: Numbers, group: NDArray[np.int64], chosen: NDArray[np.int64]) -> Numbers:
    """The least value of the chosen rows of each group."""
    found = np.full(int(group.max(initial=-1)) + 1, np.inf)
    np.minimum.at(found, group[chosen], value[chosen])
    return found


def _packed(plan: Plan, chosen: NDArray[np.int64], group: NDArray[np.int64]) -> list[list[int]]:
    calls: list[list[int]] = []
    current: dict[int, list[int]] = {}
    for together in np.split(chosen, np.flatnonzero(np.diff(group[chosen])) + 1):
        rows = together.tolist()
        for part in (rows[at : at + plan.limit] for at in range(0, len(rows), plan.limit)):
            market = int(plan.market[part[0]])
            if market not in current or len(current[market]) + len(part) > plan.limit:
                current[market] = []
                calls.append(current[market])
            current[market].extend(part)
    return calls


def wait(plan: Plan, asked: Numbers, now: float) -> float:
    """Seconds until the next symbol is due, 0 when one is; infinite without symbols."""
    return max(0.0, float(np.min(asked + plan.interval - now, initial=np.inf)))
