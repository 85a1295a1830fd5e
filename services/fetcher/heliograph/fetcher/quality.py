"""The data-quality gate: which bars are refused, and for what. Pure; arrays in, arrays out.

The rules are tried in the order of `Refusal`; the first that a row breaks is its refusal.
"""

import heapq
from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError
from heliograph.common.subjects import check_symbol
from heliograph.fetcher.provider import Codes, Times
from heliograph.fetcher.table import Table

DAY_NS = 86_400 * NANOSECONDS
EARLIEST_NS = -25_567 * DAY_NS
"""1900-01-01, the first day that the stores can hold."""
LATEST_NS = 106_650 * DAY_NS
"""2261-12-31, the last one."""
JUMP = 0.05
"""A close further than this share off the last good one, and off what others say of it, is not believed."""


class Refusal(IntEnum):
    """Why a bar is refused."""

    NONE = 0
    BAD_SYMBOL = 1
    BAD_TIME = 2
    NOT_FINITE = 3
    NOT_POSITIVE = 4
    BAD_VOLUME = 5
    BAD_RANGE = 6
    DUPLICATE = 7
    OUT_OF_ORDER = 8
    JUMP = 9
    NOT_CLOSED = 10

    @property
    def label(self) -> str:
        """As in metrics, status and dead letters."""
        return self.name.lower()


EXPECTED: dict[Refusal, str] = {
    Refusal.BAD_SYMBOL: "symbol: expected 1 to 64 bytes of printable characters",
    Refusal.BAD_TIME: "ts: expected a time from 1900 to 2261",
    Refusal.NOT_FINITE: "open, high, low, close: expected finite numbers",
    Refusal.NOT_POSITIVE: "open, high, low, close: expected positive prices",
    Refusal.BAD_VOLUME: "volume: expected a finite number of at least 0",
    Refusal.BAD_RANGE: "high, low: expected high at or above, and low at or below, open and close",
    Refusal.DUPLICATE: "ts: expected one bar a symbol and time; the first stays",
    Refusal.OUT_OF_ORDER: "ts: expected no bar older than an earlier one of its symbol in the same file",
    Refusal.JUMP: "close: expected within 5 % of the last good one, or of what another file says of the bar",
    Refusal.NOT_CLOSED: "ts: expected the start of a bar that has closed, at a whole interval",
}
"""What a row that is refused should have been, field by field."""


def judge(table: Table) -> NDArray[np.uint8]:
    """The `Refusal` of each row; 0 for a good bar."""
    verdicts = judge_values(table)
    good = np.flatnonzero(verdicts == Refusal.NONE)
    verdicts[good] = judge_order(table.code[good], table.ts[good], table.origin_of(good))
    if Refusal.DUPLICATE in verdicts:
        judge_jumps(table, verdicts)
    return verdicts


def judge_values(table: Table) -> NDArray[np.uint8]:
    """The `Refusal` of each row as far as it can be told from the row alone."""
    prices = (table.open, table.high, table.low, table.close)
    verdicts = np.zeros(len(table.ts), dtype=np.uint8)

    def refuse(broken: NDArray[np.bool_], refusal: Refusal) -> None:
        verdicts[broken & (verdicts == Refusal.NONE)] = refusal

    refuse(~np.array([is_symbol(s) for s in table.symbols], dtype=bool)[table.code], Refusal.BAD_SYMBOL)
    refuse((table.ts < EARLIEST_NS) | (table.ts >= LATEST_NS), Refusal.BAD_TIME)
    for price in prices:
        refuse(~np.isfinite(price), Refusal.NOT_FINITE)
    for price in prices:
        refuse(price <= 0.0, Refusal.NOT_POSITIVE)
    refuse(~(np.isfinite(table.volume) & (table.volume >= 0.0)), Refusal.BAD_VOLUME)
    top = np.maximum(table.open, table.close)
    bottom = np.minimum(table.open, table.close)
    refuse((table.high < top) | (table.low > bottom) | (table.high < table.low), Refusal.BAD_RANGE)
    return verdicts


def judge_order(code: Codes, ts: Times, origin: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Duplicates and rows out of order, among rows whose values are good.

    A row is out of order where an earlier row of its symbol and origin is younger. It is a duplicate where an
    earlier row of its symbol and time was accepted, of whichever origin. Origins may overlap in time.
    """
    count = len(ts)
    verdicts = np.zeros(count, dtype=np.uint8)
    if not count:
        return verdicts
    in_order = is_in_order(code, ts, origin)
    order = np.lexsort((ts, code))
    first = np.ones(count, dtype=bool)
    first[1:] = (np.diff(code[order]) != 0) | (np.diff(ts[order]) != 0)
    group = np.cumsum(first) - 1
    candidate = np.where(in_order[order], order, count)
    accepted = np.minimum.reduceat(candidate, np.flatnonzero(first))[group]
    verdicts[order[order > accepted]] = Refusal.DUPLICATE
    verdicts[order[order < accepted]] = Refusal.OUT_OF_ORDER
    return verdicts


def is_in_order(code: Codes, ts: Times, origin: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether no earlier row of the same symbol and origin is younger, row by row."""
    count = len(ts)
    order = np.lexsort((code, origin))
    first = np.ones(count, dtype=bool)
    first[1:] = (np.diff(code[order]) != 0) | (np.diff(origin[order]) != 0)
    times = ts[order]
    if not np.any((np.diff(times) < 0) & ~first[1:]):
        return np.ones(count, dtype=bool)
    # Ranks are small, so that the running maximum of one group cannot reach into the next one.
    rank = np.unique(times, return_inverse=True)[1].astype(np.int64)
    base = (np.cumsum(first) - 1) * count
    in_order = np.empty(count, dtype=bool)
    in_order[order] = np.maximum.accumulate(rank + base) == rank + base
    return in_order


def is_symbol(symbol: str) -> bool:
    """Whether a text may be a symbol."""
    try:
        check_symbol(symbol)
    except InputError:
        return False
    return True


def judge_jumps(table: Table, verdicts: NDArray[np.uint8]) -> None:
    """Of a bar that several origins tell, none stays whose close jumps; `verdicts` are changed in place.

    The first in their order that is believed takes the place of one that is not.
    """
    rows = np.flatnonzero((verdicts == Refusal.NONE) | (verdicts == Refusal.DUPLICATE))
    rows = rows[np.lexsort((rows, table.ts[rows], table.code[rows]))]
    code, ts, origin = table.code[rows], table.ts[rows], table.origin_of(rows)
    heads = np.flatnonzero(np.r_[True, (np.diff(code) != 0) | (np.diff(ts) != 0)])
    ends = np.append(heads[1:], len(rows))
    stays = np.flatnonzero(verdicts[rows] == Refusal.NONE)  # one of each bar
    close = table.close[rows]
    last = close[stays]
    same = np.r_[False, np.diff(code[heads]) == 0]
    before = np.where(same, np.roll(last, 1), np.nan)
    doubtful = np.flatnonzero((ends - heads > 1) & (np.abs(last - before) > JUMP * before)).tolist()
    while doubtful:
        bar = heapq.heappop(doubtful)
        told = slice(heads[bar], ends[bar])
        known = float(last[bar - 1])
        believed = [
            not jumped(price, known, close[told][origin[told] != where].tolist())
            for price, where in zip(close[told].tolist(), origin[told].tolist(), strict=True)
        ]
        verdicts[rows[told]] = np.where(believed, Refusal.DUPLICATE, Refusal.JUMP)
        if any(believed):
            chosen = heads[bar] + believed.index(True)
            verdicts[rows[chosen]] = Refusal.NONE
            now = close[chosen]
        else:
            now = known
        if now != last[bar] and bar + 1 < len(heads) and same[bar + 1] and ends[bar + 1] - heads[bar + 1] > 1:
            heapq.heappush(doubtful, bar + 1)  # what came before it is another price now
        last[bar] = now


def jumped(price: float, last_good: float, others: Sequence[float]) -> bool:
    """Whether a price is not believed: more than `JUMP` off the last good one and off every other one.

    Where nobody else tells of it it is believed: a move that one alone reports may be real.

    Args:
        price: finite and positive; `last_good` the symbol's last accepted one.
        others: what others say of the same bar.
    """
    if not others:
        return False
    return all(abs(price - known) > JUMP * known for known in (last_good, *others))
