"""All rows of a replay as one table of columns."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from heliograph.fetcher.provider import Codes, Numbers, Rows, Times

COLUMNS = ("code", "ts", "open", "high", "low", "close", "volume")


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of several origins, in the order in which they were given.

    Attributes:
        symbols: the distinct symbols, sorted; `code` is an index into it, one a row.
        ts: start of each bar, UTC nanoseconds; `open` to `volume` as in `Rows`.
        splits: of rows that have one, see `Rows`.
        origins: where the rows came from; `starts` the first row of each, and the number of rows at the end.
    """

    symbols: list[str]
    code: Codes
    ts: Times
    open: Numbers
    high: Numbers
    low: Numbers
    close: Numbers
    volume: Numbers
    splits: dict[int, float]
    origins: list[str]
    starts: NDArray[np.int64]

    def origin_of(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """The index into `origins` of each of some rows, by their numbers."""
        return (np.searchsorted(self.starts, rows, side="right") - 1).astype(np.int32)


def merge(parts: Sequence[Rows]) -> Table:
    """One table of all parts, one after the other."""
    symbols = sorted({s for part in parts for s in part.symbols})
    number = {s: i for i, s in enumerate(symbols)}
    code: Codes = np.concatenate(
        [np.array([number[s] for s in p.symbols], dtype=np.int32)[p.code] for p in parts]
        or [np.empty(0, dtype=np.int32)]
    )
    columns = {name: joined([getattr(p, name) for p in parts]) for name in COLUMNS[2:]}
    starts = np.cumsum([0, *(len(p.ts) for p in parts)], dtype=np.int64)
    return Table(
        symbols=symbols,
        code=code,
        ts=np.concatenate([p.ts for p in parts] or [np.empty(0, dtype=np.int64)]),
        origins=[p.origin for p in parts],
        starts=starts,
        splits={
            int(start) + row: ratio
            for start, part in zip(starts, parts, strict=False)
            for row, ratio in part.splits.items()
        },
        **columns,
    )


def joined(arrays: Sequence[Numbers]) -> Numbers:
    """The arrays as one, without a copy where there is but one."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays or [np.empty(0)])
