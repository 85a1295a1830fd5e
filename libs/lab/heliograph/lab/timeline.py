"""Parts of time: train, validation and test; walking windows; folds that are purged and embargoed."""

from collections.abc import Iterator

import msgspec
import numpy as np

from heliograph.common.errors import InputError
from heliograph.lab.bars import DAY_NS, Integers
from heliograph.lab.period import END, Period

SHARES = (0.6, 0.2, 0.2)
"""Train, validation and test."""
FOLDS = 5
EMBARGO = 0.01
"""Share of all time that is left out after a test fold."""


class Parts(msgspec.Struct, frozen=True):
    """Fit on `train`, choose on `validation`, report `test` alone; one after the other."""

    train: Period
    validation: Period
    test: Period


def split(days: Integers, bars: Integers) -> Parts:
    """Whole days, with 60, 20 and 20 % of the bars.

    Args:
        days: with bars, counted from 1970, ascending; `bars` how many each has.

    Raises:
        InputError: there are too few days.
    """
    so_far = np.cumsum(bars)
    first, second = (
        int(np.searchsorted(so_far, share * so_far[-1])) + 1 for share in (SHARES[0], SHARES[0] + SHARES[1])
    )
    if not first < second < len(days):
        raise InputError(f"data: {len(days)} days with bars, too few for train, validation and test")
    begin, middle, late = (int(days[n]) * DAY_NS for n in (0, first, second))
    return Parts(Period(begin, middle), Period(middle, late), Period(late, END))


def windows(days: Integers, train: int, validation: int, test: int) -> list[Parts]:
    """Windows of so many days with bars, each test part beginning where the one before ended.

    Raises:
        InputError: a length is not positive, or there are too few days for one window.
    """
    for name, length in (("train", train), ("validation", validation), ("test", test)):
        if length < 1:
            raise InputError(f"{name}: {length}, expected 1 or more days")
    total = train + validation + test
    if len(days) < total:
        raise InputError(f"data: {len(days)} days with bars, expected at least {total} for one window")
    edges = np.append(days, days[-1] + 1) * DAY_NS
    return [
        Parts(
            train=Period(int(edges[start]), int(edges[start + train])),
            validation=Period(int(edges[start + train]), int(edges[start + train + validation])),
            test=Period(int(edges[start + train + validation]), int(edges[start + total])),
        )
        for start in range(0, len(days) - total + 1, test)
    ]


def purged_folds(
    opened: Integers, closed: Integers, folds: int = FOLDS, embargo: float = EMBARGO
) -> Iterator[tuple[Integers, Integers]]:
    """Train and test rows of each fold, the test rows in one piece of time.

    Left out of training is whatever was under way at the same time as a test row, since both know the same
    bars, and what opened within the embargo after the fold (López de Prado 2018, chapter 7).

    Args:
        opened: when each row began, nanoseconds; `closed` when it ended.
        folds: how many; `embargo` as a share of all time.
    """
    order = np.argsort(opened, kind="stable")
    pause = int(embargo * (closed.max() - opened.min())) if len(opened) else 0
    for test in np.array_split(order, folds):
        if not len(test):
            continue
        start, end = opened[test].min(), closed[test].max()
        apart = (closed < start) | (opened > end + pause)
        yield np.flatnonzero(apart), np.sort(test)
