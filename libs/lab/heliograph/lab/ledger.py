"""What the positions of a strategy earn day by day, and what holding the same symbols earns.

The portfolio: each symbol that has bars in the period gets the same stake, 1/N of the starting capital. A
signal opens a position of one stake at its entry price, BUY long and SELL short, and its outcome closes it.
Stakes are fixed (profits are not reinvested), a long and a short one of one symbol may be open together, and
positions are marked at each close. Half of the round trip's costs fall due at the opening, half at the end.
Capital not in a position earns nothing. Buying and holding puts each stake into its symbol at the first close
of the period, pays the same costs, and keeps it.
"""

import msgspec
import numba
import numpy as np

from heliograph.lab.bars import DAY_NS, Bars, Floats, Integers
from heliograph.lab.trades import Trades
from heliograph.tracker.closing import PERCENT, Costs


class Ledger(msgspec.Struct, kw_only=True):
    """Sums by UTC day, in stakes; bars count to the day on which they start.

    Attributes:
        first: the day of index 0, counted from 1970.
        profit: what the positions earned, marked at closes, after costs; shape (days,).
        held: what buying and holding earned, after costs; shape (days,).
        bars: how many bars there were; shape (days,).
        symbols: N, how many symbols had bars in the period.
        holding_ns: the time for which positions were open, added up.
    """

    first: int
    profit: Floats
    held: Floats
    bars: Integers
    symbols: int
    holding_ns: float


def post(trades: Trades, bars: Bars, start: int, costs: Costs) -> Ledger:
    """The ledger of some symbols.

    Args:
        trades: of these bars, signalled from `start` on; none is counted here that is not given.
        bars: with those before `start`, which only warmed the engine up.
        start: nanoseconds.
        costs: of a round trip.
    """
    days = bars.days
    first, last = (int(days.min()), int(days.max())) if len(bars) else (0, 0)
    day = days - first
    profit, held = np.zeros(last - first + 1), np.zeros(last - first + 1)
    cost = costs.round_trip / PERCENT
    ends = bars.starts[1:][trades["symbol"]]
    row, exit_row, side, entry, exit_ = (
        np.ascontiguousarray(trades[name]) for name in ("row", "exit_row", "side", "entry", "exit")
    )
    mark(row, exit_row, side, entry, exit_, ends, bars.close, day, cost / 2.0, profit)
    begun = hold(bars.starts, bars.ts, bars.close, day, start, cost, held)
    within = bars.ts >= start
    final = bars.ts[ends - 1] + bars.lengths[trades["symbol"]]
    until = np.where(trades["closed"] > 0, trades["closed"], final)
    return Ledger(
        first=first,
        profit=profit,
        held=held,
        bars=np.bincount(day[within], minlength=len(profit)),
        symbols=begun,
        holding_ns=float(np.sum(until - trades["ts"], dtype=np.float64)),
    )


@numba.njit(cache=True)
def mark(
    row: Integers,
    exit_row: Integers,
    side: Integers,
    entry: Floats,
    exit_: Floats,
    ends: Integers,
    close: Floats,
    day: Integers,
    half_cost: float,
    profit: Floats,
) -> None:
    """Add what each position earned from close to close, and its costs, to the days."""
    for k in range(row.size):
        ended = exit_row[k] >= 0
        last_row = exit_row[k] if ended else ends[k] - 1
        profit[day[row[k]]] -= half_cost
        before = entry[k]
        for j in range(row[k] + 1, last_row + 1):
            price = exit_[k] if ended and j == last_row else close[j]
            profit[day[j]] += side[k] * (price - before) / entry[k]
            before = price
        if ended:
            profit[day[last_row]] -= half_cost


@numba.njit(cache=True)
def hold(
    starts: Integers, ts: Integers, close: Floats, day: Integers, start: int, cost: float, held: Floats
) -> int:
    """Add what holding each symbol from its first close of the period earned; how many symbols have one."""
    count = 0
    for symbol in range(starts.size - 1):
        bought = 0.0
        before = 0.0
        for j in range(starts[symbol], starts[symbol + 1]):
            if ts[j] < start:
                continue
            if bought == 0.0:
                bought = close[j]
                held[day[j]] -= cost
                count += 1
            else:
                held[day[j]] += (close[j] - before) / bought
            before = close[j]
    return count


def merge(ledgers: list[Ledger]) -> Ledger:
    """One ledger over all symbols, on the days from the first to the last one with a bar."""
    filled = [part for part in ledgers if part.bars.any()]
    if not filled:
        return Ledger(
            first=0,
            profit=np.zeros(0),
            held=np.zeros(0),
            bars=np.zeros(0, np.int64),
            symbols=0,
            holding_ns=0.0,
        )
    first = min(part.first + int(np.flatnonzero(part.bars)[0]) for part in filled)
    last = max(part.first + int(np.flatnonzero(part.bars)[-1]) for part in filled)
    whole = Ledger(
        first=first,
        profit=np.zeros(last - first + 1),
        held=np.zeros(last - first + 1),
        bars=np.zeros(last - first + 1, np.int64),
        symbols=sum(part.symbols for part in filled),
        holding_ns=sum(part.holding_ns for part in filled),
    )
    for part in filled:
        skipped = max(0, first - part.first)
        place = part.first + skipped - first
        for name in ("profit", "held", "bars"):
            source = getattr(part, name)[skipped : skipped + last - part.first - skipped + 1]
            getattr(whole, name)[place : place + len(source)] += source
    return whole


def span_ns(ledger: Ledger) -> int:
    """From the start of the first day to the end of the last."""
    return len(ledger.profit) * DAY_NS
