"""Good bars as columns, symbol after symbol: what marks, charts and the columnar driver read."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from heliograph.common.clock import NANOSECONDS
from heliograph.fetcher.cadence import LENGTHS_NS, NAMES, infer_intervals
from heliograph.fetcher.load import Replay

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
DAY_NS = 86_400 * NANOSECONDS
PRICES = ("open", "high", "low", "close", "volume")


class Bars(msgspec.Struct, frozen=True, kw_only=True):
    """Bars of some symbols, by symbol and then by time.

    Attributes:
        symbols: those that have bars, sorted.
        intervals: the name of each one's interval.
        starts: the first row of each symbol, and the number of rows at the end; shape (symbols + 1,).
        ts: start of each bar, UTC nanoseconds, ascending within a symbol; shape (rows,).
        open: prices in quote currency; `high`, `low`, `close` likewise; shape (rows,).
        volume: units traded.
    """

    symbols: list[str]
    intervals: list[str]
    starts: Integers
    ts: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def lengths(self) -> Integers:
        """The length of each symbol's bars, nanoseconds."""
        return np.array([LENGTHS_NS[NAMES.index(name)] for name in self.intervals], np.int64)

    @property
    def owner(self) -> Integers:
        """The symbol of each row, as an index into `symbols`."""
        return np.repeat(np.arange(len(self.symbols)), np.diff(self.starts))

    @property
    def days(self) -> Integers:
        """The UTC day on which each bar starts, counted from 1970."""
        return self.ts // DAY_NS

    def kept(self, rows: NDArray[np.bool_]) -> "Bars":
        """Some of the rows; symbols without any are left out."""
        counts = np.add.reduceat(np.append(rows, False).astype(np.int64), self.starts[:-1])
        counts[np.diff(self.starts) == 0] = 0
        here = np.flatnonzero(counts)
        return Bars(
            symbols=[self.symbols[n] for n in here],
            intervals=[self.intervals[n] for n in here],
            starts=np.concatenate(([0], np.cumsum(counts[here]))),
            ts=self.ts[rows],
            **{name: getattr(self, name)[rows] for name in PRICES},
        )


def bars_of(replay: Replay) -> Bars:
    """The good bars of a replay."""
    table = replay.plan.table
    order = replay.plan.order
    order = order[np.lexsort((table.ts[order], table.code[order]))]
    code = table.code[order]
    intervals = infer_intervals(table.symbols, code, table.ts[order])
    here, starts = np.unique(code, return_index=True)
    return Bars(
        symbols=[table.symbols[n] for n in here],
        intervals=[NAMES[intervals[n]] for n in here],
        starts=np.append(starts, len(order)),
        ts=table.ts[order],
        **{name: getattr(table, name)[order] for name in PRICES},
    )
