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

from heliograph.consensus.engine.layout import offset_of
from heliograph.lab.bars import DAY_NS, Bars, Floats, Integers
from heliograph.lab.trades import Trades, layout
from heliograph.tracker.closing import PERCENT, Costs

SYMBOL, ROW, EXIT_ROW, TS, CLOSED, SIDE, ENTRY, EXIT = (
    offset_of(layout(0), name) // 8
    for name in ("symbol", "row", "exit_row", "ts", "closed", "side", "entry", "exit")
)
"""Where a trade has these among its fields, each of which takes eight bytes."""


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
    first, last = 0, 0
    if len(bars):
        first = int(bars.ts[bars.starts[:-1]].min()) // DAY_NS
        last = int(bars.ts[bars.starts[1:] - 1].max()) // DAY_NS
    days = last - first + 1
    profit, held, counts = np.zeros(days), np.zeros(days), np.zeros(days, np.int64)
    cost = costs.round_trip / PERCENT
    words = np.ascontiguousarray(trades).view(np.int64).reshape(len(trades), trades.dtype.itemsize // 8)
    numbers = words.view(np.float64)
    holding = mark(words, numbers, bars.starts, bars.lengths, bars.ts, bars.close, first, cost / 2.0, profit)
    begun = hold(bars.starts, bars.ts, bars.close, first, start, cost, held, counts)
    return Ledger(
        first=first,
        profit=profit,
        held=held,
        bars=counts,
        symbols=begun,
        holding_ns=holding,
    )


@numba.njit(cache=True)
def mark(
    words: Integers,
    numbers: Floats,
    starts: Integers,
    lengths: Integers,
    ts: Integers,
    close: Floats,
    first: int,
    half_cost: float,
    profit: Floats,
) -> float:
    """Add what each position earned from close to close, and its costs, to the days from `first` on.

    `words` are the trades by fields, shape (trades, fields); `numbers` the same as floats.

    Returns:
        The time for which they were open, nanoseconds, added up.
    """
    holding = 0.0
    for k in range(len(words)):
        row, exit_row, symbol = words[k, ROW], words[k, EXIT_ROW], words[k, SYMBOL]
        side, entry = words[k, SIDE], numbers[k, ENTRY]
        end = starts[symbol + 1]
        ended = exit_row >= 0
        last_row = exit_row if ended else end - 1
        closed = words[k, CLOSED]
        holding += (closed if closed > 0 else ts[end - 1] + lengths[symbol]) - words[k, TS]
        profit[ts[row] // DAY_NS - first] -= half_cost
        before = entry
        for j in range(row + 1, last_row + 1):
            price = numbers[k, EXIT] if ended and j == last_row else close[j]
            profit[ts[j] // DAY_NS - first] += side * (price - before) / entry
            before = price
        if ended:
            profit[ts[last_row] // DAY_NS - first] -= half_cost
    return holding


@numba.njit(cache=True)
def hold(
    starts: Integers,
    ts: Integers,
    close: Floats,
    first: int,
    start: int,
    cost: float,
    held: Floats,
    counts: Integers,
) -> int:
    """Add what holding each symbol from its first close of the period earned; how many symbols have one.

    `counts` receives the bars of each day.
    """
    count = 0
    for symbol in range(starts.size - 1):
        bought = 0.0
        before = 0.0
        for j in range(starts[symbol], starts[symbol + 1]):
            if ts[j] < start:
                continue
            day = ts[j] // DAY_NS - first
            counts[day] += 1
            if bought == 0.0:
                bought = close[j]
                held[day] -= cost
                count += 1
            else:
                held[day] += (close[j] - before) / bought
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
