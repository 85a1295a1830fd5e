"""How often a symbol's bars come: their interval, and the gaps between them. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError
from heliograph.common.intervals import INTERVALS_NS, interval_of
from heliograph.fetcher.provider import Codes, Times

NAMES = tuple(INTERVALS_NS)
LENGTHS_NS = np.array(list(INTERVALS_NS.values()), dtype=np.int64)
FALLBACK = "1d"
SHORTEST_NS = INTERVALS_NS["1m"]
SURE = 20
"""Bars that it takes to be sure of an interval."""
CLOSED_FROM_NS = 6 * 3600 * NANOSECONDS
CLOSED_TO_NS = 102 * 3600 * NANOSECONDS
"""A pause from six hours to four days and a quarter may be a closed market: a night, a long weekend."""


def infer_intervals(symbols: Sequence[str], code: Codes, ts: Times) -> NDArray[np.uint8]:
    """The interval of each symbol, as an index into `NAMES`: its most common step between bars.

    The most common step, since a median is wrong for thinly traded symbols and a common divisor for days that
    a change of the clocks makes longer or shorter. A symbol with a single bar has the interval that most
    symbols have, `1d` when there is none.

    Args:
        symbols: their names, for the error.
        code: index into `symbols`, one a row, sorted; `ts` ascending and distinct within each.

    Raises:
        InputError: the bars of a symbol come more often than each minute.
    """
    found = np.full(len(symbols), -1, dtype=np.int64)
    same = np.flatnonzero(np.diff(code) == 0)
    steps, owners = ts[same + 1] - ts[same], code[same]
    order = np.lexsort((steps, owners))
    steps, owners = steps[order], owners[order]
    if len(steps):
        starts = np.flatnonzero(np.r_[True, (np.diff(steps) != 0) | (np.diff(owners) != 0)])
        counts = np.diff(np.r_[starts, len(steps)])
        best = np.lexsort((steps[starts], -counts, owners[starts]))
        heads = best[np.r_[True, np.diff(owners[starts][best]) != 0]]
        for symbol, step in zip(owners[starts][heads], steps[starts][heads], strict=True):
            found[symbol] = interval_index(symbols[symbol], int(step))
    known = found[found >= 0]
    usual = int(np.bincount(known).argmax()) if len(known) else NAMES.index(FALLBACK)
    return np.where(found >= 0, found, usual).astype(np.uint8)


def interval_index(symbol: str, step_ns: int) -> int:
    """The index into `NAMES` of the interval for a step between bars."""
    if step_ns < SHORTEST_NS:
        raise InputError(
            f"ts: the bars of {symbol!r} are {step_ns / NANOSECONDS:g} s apart, expected at least 60 s"
        )
    return NAMES.index(interval_of(step_ns))


def count_gaps(code: Codes, ts: Times, interval: NDArray[np.uint8]) -> int:
    """Pauses between bars of a symbol that no closed market explains.

    A step of more than one and a half intervals counts, unless it is between `CLOSED_FROM_NS` and
    `CLOSED_TO_NS`. There is no calendar of holidays here: the figure is a hint, and nothing is refused by it.

    Args:
        code: the symbol of each row, sorted; `ts` ascending within each.
        interval: the index into `NAMES` for each symbol.
    """
    same = np.flatnonzero(np.diff(code) == 0)
    steps = ts[same + 1] - ts[same]
    longer = 2 * steps > 3 * LENGTHS_NS[interval[code[same]]]
    closed = (steps >= CLOSED_FROM_NS) & (steps <= CLOSED_TO_NS)
    return int(np.count_nonzero(longer & ~closed))


def check_one_interval(
    symbols: Sequence[str], origins: Sequence[str], code: Codes, ts: Times, origin: NDArray[np.int32]
) -> None:
    """Refuse a symbol whose bars have one interval in one origin and another one in another.

    Args:
        symbols: the names that `code` is an index into; `origins` those of `origin`.
        code: one a row; `ts` and `origin` likewise, in any order.

    Raises:
        InputError: the message names the symbol, both origins and both intervals.
    """
    if len(origins) < 2:  # noqa: PLR2004 - two origins make a pair
        return
    pair = code.astype(np.int64) * len(origins) + origin
    order = np.lexsort((ts, pair))
    pairs, index, counts = np.unique(pair[order], return_inverse=True, return_counts=True)
    names = [symbols[p // len(origins)] for p in pairs]
    intervals = infer_intervals(names, index.astype(np.int32), ts[order])
    seen: dict[str, int] = {}
    for number in np.flatnonzero(counts >= SURE):
        other = seen.setdefault(names[number], int(number))
        if intervals[other] != intervals[number]:
            raise InputError(
                f"symbol {names[number]!r}: bars of {NAMES[intervals[other]]} in "
                f"{origins[pairs[other] % len(origins)]} and of {NAMES[intervals[number]]} in "
                f"{origins[pairs[number] % len(origins)]}, expected one interval a symbol"
            )
