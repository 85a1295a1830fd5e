"""The last hour of one-minute bars of each symbol, on one grid of minutes: what polling adapts to. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heliograph.common.intervals import interval_ns
from heliograph.fetcher.provider import Numbers, Rows

MINUTES = 60
MINUTE_NS = interval_ns("1m")


class Recent:
    """The bars of the 60 minutes up to the newest bar of all, columns of shape (symbols, 60).

    A minute's slot is its number modulo 60, so that one column is one minute for all symbols alike.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self._row = {symbol: row for row, symbol in enumerate(symbols)}
        shape = (len(self._row), MINUTES)
        self._minute: NDArray[np.int64] = np.full(shape, -MINUTES, dtype=np.int64)
        self._high, self._low, self._close, self._traded = (np.full(shape, np.nan) for _ in range(4))
        self._newest = 0

    def take(self, rows: Rows, now_ns: int) -> None:
        """Keep bars; those of other symbols, without a good price, not begun, or older are left out."""
        known = np.array([self._row.get(symbol, -1) for symbol in rows.symbols], dtype=np.int64)
        row, minute = known[rows.code], rows.ts // MINUTE_NS
        good = (row >= 0) & (minute > 0) & (rows.ts < now_ns) & np.isfinite(rows.volume) & (rows.low > 0.0)
        good &= (
            np.isfinite(rows.high) & (rows.high >= rows.low) & np.isfinite(rows.close) & (rows.close > 0.0)
        )
        if not good.any():
            return
        self._newest = max(self._newest, int(minute[good].max()))
        good &= minute > self._newest - MINUTES
        at = (row[good], minute[good] % MINUTES)
        self._minute[at] = minute[good]
        self._high[at], self._low[at], self._close[at] = rows.high[good], rows.low[good], rows.close[good]
        self._traded[at] = rows.close[good] * rows.volume[good]

    def volatility(self) -> Numbers:
        """(Highest high − lowest low) / last close of the hour, percent; NaN under two bars."""
        held = self._held()
        top = np.max(self._high, axis=1, where=held, initial=-np.inf)
        bottom = np.min(self._low, axis=1, where=held, initial=np.inf)
        newest = np.argmax(np.where(held, self._minute, -1), axis=1)
        close = self._close[np.arange(len(newest)), newest]
        found = np.full(len(close), np.nan)
        enough = held.sum(axis=1) >= 2  # noqa: PLR2004 - a range needs two bars
        found[enough] = 100.0 * (top[enough] - bottom[enough]) / close[enough]
        return found

    def traded(self) -> Numbers:
        """The value traded in the hour: the sum of close × volume."""
        value: Numbers = np.sum(self._traded, axis=1, where=self._held())
        return value

    def returns(self) -> Numbers:
        """Log returns from minute to minute, oldest first, shape (symbols, 59); NaN without both bars."""
        order = (np.arange(self._newest - MINUTES + 1, self._newest + 1)) % MINUTES
        close = np.where(self._held(), self._close, np.nan)[:, order]
        logs: Numbers = np.log(close)
        return np.diff(logs, axis=1)

    def _held(self) -> NDArray[np.bool_]:
        return self._minute > self._newest - MINUTES
