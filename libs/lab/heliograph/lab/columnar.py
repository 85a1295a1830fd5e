"""The live kernel over whole columns, symbol after symbol, without an object a bar or a batch.

A symbol's signals depend on its own bars alone, so its bars may be taken in one go: its state stays in the
nearest cache, and no batch is built. What it decides, and how it ends, is what the services say, bit by bit;
the tests hold the two paths together.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heliograph.common.errors import InvariantError
from heliograph.common.outcomes import EXPIRED, OPEN
from heliograph.consensus.engine.compilation import borrowed, compiled, compiled_on_disk
from heliograph.consensus.engine.frames import clock_of
from heliograph.consensus.engine.kernel import close_by_bar, step_one
from heliograph.consensus.engine.layout import ABSTAIN, DECISION, SOURCES
from heliograph.consensus.engine.making import DIGITS
from heliograph.consensus.engine.others import check
from heliograph.lab.bars import PRICES, Bars, Floats, Integers
from heliograph.lab.strategy import Strategy
from heliograph.lab.trades import SILENT, Trades, layout
from heliograph.tracker.closing import PERCENT, Costs

ROOM = 1024
"""Signals in a block, which is followed to its outcomes while it is in the cache."""
SPARSE = 2
"""Bars a signal that room is made for, which takes memory only as it fills; for more there is made more."""
DOUBT = 1e-6
SCALE_RAW = 10.0**2
SCALE_SHARE = 10.0**DIGITS
OPEN_, HIGH, LOW, CLOSE, VOLUME = range(5)
Columns = tuple[Floats, ...]
"""Of PRICES, each of shape (rows,)."""


def run_columnar(bars: Bars, strategy: Strategy, costs: Costs) -> Trades:
    """All signals of these bars with their outcomes, by symbol and then by time.

    Raises:
        InvariantError: the strategy needs more than the kernel.
    """
    if not strategy.by_columns:
        raise InvariantError(f"columnar: {strategy.name} needs more than the kernel")
    engine = strategy.engine()
    rows = engine.state.rows_of(bars.symbols)
    columns = tuple(getattr(bars, name) for name in PRICES)
    sources = np.array([SOURCES.index(name) for name in strategy.keys if name in SOURCES], np.int64)
    lengths = bars.lengths
    decision = np.zeros(1, DECISION)
    doubtful = np.zeros(ROOM, np.bool_)
    trades = np.zeros(len(bars) // SPARSE + ROOM, layout(len(strategy.keys)))
    at = total = 0
    while at < len(bars):
        if len(trades) < total + ROOM:
            trades = np.concatenate((trades, np.zeros_like(trades)))
        block = trades[total : total + ROOM]
        made, at = march(
            engine.state.symbols,
            rows,
            columns,
            bars.ts,
            bars.starts,
            lengths,
            engine.rules,
            engine.table,
            engine.programs,
            decision,
            engine.state.counts,
            sources,
            block,
            at,
        )
        if made < 0:
            wrong = engine.programs[[-1 - made]]
            symbol = bars.symbols[int(bars.owner[at])]
            check(strategy.keys[len(sources) - 1 - made], [symbol], wrong["direction"], wrong["confidence"])
        block = block[:made]
        if follow(block, columns, bars.ts, bars.starts, lengths, costs.round_trip, doubtful):
            settle(block, doubtful[:made])
        total += made
    return trades[:total]


@compiled
def note_votes(
    trade: Any, state: Any, table: Any, view: int, voted: float, sources: Integers, programs: Any
) -> None:
    """Write down what was weighed, as a share of all that was."""
    for column in range(sources.size):
        source = sources[column]
        weight = table.weights[view, source]
        direction = state.direction[source]
        if weight > 0.0 and direction != ABSTAIN:
            trade.direction[column] = direction
            trade.confidence[column] = state.confidence[source]
            trade.weight[column] = weight / voted
        else:
            trade.direction[column] = SILENT
    for place in range(programs.size):
        column = sources.size + place
        program = programs[place]
        weight = table.others[view, place]
        if weight > 0.0 and program.direction != ABSTAIN:
            trade.direction[column] = program.direction
            trade.confidence[column] = program.confidence
            trade.weight[column] = weight / voted
        else:
            trade.direction[column] = SILENT


@compiled_on_disk
def march(
    symbols: Any,
    rows: Integers,
    columns: Columns,
    ts: Integers,
    starts: Integers,
    lengths: Integers,
    rule: Any,
    weights: Any,
    programs: Any,
    decision: Any,
    counts: Integers,
    sources: Integers,
    trades: Any,
    at: int,
) -> tuple[int, int]:
    """Take the bars from row `at` on until they end or `trades` is full.

    Returns:
        How many signals were made, and the next row; or, where the n-th plug-in gives what is no vote, −1 − n
        and the row.
    """
    opens, highs, lows = borrowed(columns[OPEN_]), borrowed(columns[HIGH]), borrowed(columns[LOW])
    closes, volumes = borrowed(columns[CLOSE]), borrowed(columns[VOLUME])
    symbols, ts, trades = borrowed(symbols), borrowed(ts), borrowed(trades)
    starts, lengths, rows, counts = borrowed(starts), borrowed(lengths), borrowed(rows), borrowed(counts)
    weights, programs, sources = borrowed(weights), borrowed(programs), borrowed(sources)
    made = 0
    rules, decided = borrowed(rule)[0], borrowed(decision)[0]
    symbol = np.searchsorted(starts, at, side="right") - 1
    while symbol < rows.size:
        state = symbols[rows[symbol]]
        length = lengths[symbol]
        for row in range(max(at, starts[symbol]), starts[symbol + 1]):
            if made == trades.size:
                return made, row
            bar = (opens[row], highs[row], lows[row], closes[row], volumes[row])
            clock = clock_of(length, ts[row])
            passed = step_one(
                state, state, bar, ts[row], length, clock, rules, weights, programs, decided, counts
            )
            for place in range(programs.size):
                if programs[place].wrong != 0:
                    return -1 - place, row
            if not passed:
                continue
            trade = trades[made]
            trade.symbol = symbol
            trade.row = row
            trade.exit_row = -1
            trade.bar_ts = ts[row]
            trade.ts = ts[row] + length
            trade.expires = decided.expires
            trade.side = decided.side
            trade.regime = decided.regime
            view = decided["view"]
            trade.view = view
            trade.entry = decided.entry
            trade.stop = decided.stop
            trade.target = decided.target
            trade.raw = decided.raw
            trade.agreement = decided.agreement
            note_votes(trade, state, weights[0], view, decided.voted, sources, programs)
            made += 1
        symbol += 1
    return made, ts.size


@compiled
def nearest(value: float, scale: float) -> tuple[bool, float]:
    """A value to the nearest 1 / `scale`; or as it is, and true, where Python alone knows which that is."""
    scaled = value * scale
    if abs(scaled - math.floor(scaled) - 0.5) < DOUBT:
        return True, value
    return False, np.rint(scaled) / scale


@compiled_on_disk
def follow(
    trades: Any,
    columns: Columns,
    ts: Integers,
    starts: Integers,
    lengths: Integers,
    round_trip: float,
    doubtful: Any,
) -> int:
    """Follow each signal to its end by the shared rule, with the figures and the rounding of its events.

    Excursions are as the tracker counts them. `round_trip` is what a trade costs, percent of the entry;
    `doubtful` receives where a figure is left unrounded, shape (at least trades,).

    Returns:
        In how many signals one is.
    """
    opens, highs = borrowed(columns[OPEN_]), borrowed(columns[HIGH])
    lows, closes = borrowed(columns[LOW]), borrowed(columns[CLOSE])
    trades, ts = borrowed(trades), borrowed(ts)
    starts, lengths, doubtful = borrowed(starts), borrowed(lengths), borrowed(doubtful)
    found = 0
    for number in range(trades.size):
        trade = trades[number]
        side, entry = trade.side, trade.entry
        length = lengths[trade.symbol]
        above, below, held = entry, entry, 0
        for row in range(trade.row + 1, starts[trade.symbol + 1]):
            if ts[row] < trade.ts:
                continue
            held += 1
            open_, high, low, close = opens[row], highs[row], lows[row], closes[row]
            code, price = close_by_bar(
                side,
                trade.stop,
                trade.target,
                trade.expires,
                ts[row],
                ts[row] + length,
                open_,
                high,
                low,
                close,
            )
            # Of the bar that ends a signal only the open and the exit are certain.
            whole = code == OPEN or (code == EXPIRED and ts[row] < trade.expires)
            top, bottom = (high, low) if whole else (max(open_, price), min(open_, price))
            above, below = max(above, top), min(below, bottom)
            if code != OPEN:
                gained = side * (price - entry)
                trade.result = code
                trade.exit = price
                trade.exit_row = row
                trade.closed = ts[row] + length
                trade.held = held
                # Of the furthest prices: a figure of a price further away is never the smaller one.
                gain, loss = (above, below) if side > 0 else (below, above)
                trade.best = max(0.0, side * (gain - entry) / entry * PERCENT)
                trade.worst = min(0.0, side * (loss - entry) / entry * PERCENT)
                trade.pnl = gained / entry * PERCENT
                trade.pnl_net = trade.pnl - round_trip
                trade.r_multiple = gained / abs(entry - trade.stop)
                break
        doubt, trade.raw = nearest(trade.raw, SCALE_RAW)
        unsure, trade.agreement = nearest(trade.agreement, SCALE_SHARE)
        doubt = doubt or unsure
        for column in range(trade.weight.size):
            unsure, trade.weight[column] = nearest(trade.weight[column], SCALE_SHARE)
            doubt = doubt or unsure
        doubtful[number] = doubt
        found += 1 if doubt else 0
    return found


def settle(trades: Trades, doubtful: NDArray[np.bool_]) -> None:
    """Round what `follow` left to Python."""
    part = trades[doubtful]
    for name, digits in (("raw", 2), ("agreement", DIGITS), ("weight", DIGITS)):
        part[name] = rounded(part[name], digits)
    trades[doubtful] = part


def rounded(values: Floats, digits: int) -> Floats:
    """As Python rounds each, which numpy does not where a value lies next to the middle of two results."""
    found: Floats = values.round(digits)
    scaled = values * 10.0**digits
    doubtful = np.nonzero(np.abs(scaled - np.floor(scaled) - 0.5) < DOUBT)
    found[doubtful] = [round(value, digits) for value in values[doubtful].tolist()]
    return found
