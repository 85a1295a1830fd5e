"""The live kernel over whole columns, symbol after symbol, without an object a bar or a batch.

A symbol's signals depend on its own bars alone, so its bars may be taken in one go: its state stays in the
nearest cache, and no batch is built. What it decides, and how it ends, is what the services say, bit by bit;
the tests hold the two paths together.
"""

from typing import Any

import numpy as np

from heliograph.common.errors import InvariantError
from heliograph.common.outcomes import EXPIRED, OPEN
from heliograph.consensus.engine.compilation import compiled_on_disk
from heliograph.consensus.engine.frames import clock_of
from heliograph.consensus.engine.kernel import close_by_bar, step_one
from heliograph.consensus.engine.layout import ABSTAIN, DECISION, SOURCES
from heliograph.consensus.engine.others import check
from heliograph.lab.bars import PRICES, Bars, Floats, Integers
from heliograph.lab.strategy import Strategy
from heliograph.lab.trades import SILENT, Trades, layout
from heliograph.tracker.closing import PERCENT, Costs

ROOM = 1024
"""Signals in a block; there are as many blocks as it takes."""
DOUBT = 1e-6
OPEN_, HIGH, LOW, CLOSE, VOLUME = range(5)


def run_columnar(bars: Bars, strategy: Strategy, costs: Costs) -> Trades:
    """All signals of these bars with their outcomes, by symbol and then by time.

    Raises:
        InvariantError: the strategy needs more than the kernel.
    """
    if not strategy.by_columns:
        raise InvariantError(f"columnar: {strategy.name} needs more than the kernel")
    engine = strategy.engine()
    rows = engine.state.rows_of(bars.symbols)
    columns = matrix(bars)
    sources = np.array([SOURCES.index(name) for name in strategy.keys if name in SOURCES], np.int64)
    lengths = bars.lengths
    decision = np.zeros(1, DECISION)
    # One block is written again and again, so that it stays in the cache.
    block = np.zeros(ROOM, layout(len(strategy.keys)))
    full: list[Trades] = []
    at = 0
    while at < len(bars):
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
        full.append(block[:made].copy())
        block.view(np.int64)[:] = 0
    trades = np.concatenate([block[:0], *full])
    follow(trades, columns, bars.ts, bars.starts, lengths)
    return finished(trades, costs)


def matrix(bars: Bars) -> Floats:
    """Open, high, low, close, volume of each bar together, as the kernel reads them; shape (rows, 5)."""
    columns = np.empty((len(bars), len(PRICES)))
    for number, name in enumerate(PRICES):
        columns[:, number] = getattr(bars, name)
    return columns


@compiled_on_disk
def march(
    symbols: Any,
    rows: Integers,
    columns: Floats,
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
    made = 0
    rules, decided = rule[0], decision[0]
    symbol = np.searchsorted(starts, at, side="right") - 1
    while symbol < rows.size:
        state = symbols[rows[symbol]]
        length = lengths[symbol]
        for row in range(max(at, starts[symbol]), starts[symbol + 1]):
            if made == trades.size:
                return made, row
            bar = (
                columns[row, OPEN_],
                columns[row, HIGH],
                columns[row, LOW],
                columns[row, CLOSE],
                columns[row, VOLUME],
            )
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
            for column in range(sources.size):
                source = sources[column]
                weight = weights[0].weights[view, source]
                direction = state.direction[source]
                if weight > 0.0 and direction != ABSTAIN:
                    trade.direction[column] = direction
                    trade.confidence[column] = state.confidence[source]
                    trade.weight[column] = weight / decided.voted
                else:
                    trade.direction[column] = SILENT
            for place in range(programs.size):
                column = sources.size + place
                program = programs[place]
                weight = weights[0].others[view, place]
                if weight > 0.0 and program.direction != ABSTAIN:
                    trade.direction[column] = program.direction
                    trade.confidence[column] = program.confidence
                    trade.weight[column] = weight / decided.voted
                else:
                    trade.direction[column] = SILENT
            made += 1
        symbol += 1
    return made, ts.size


@compiled_on_disk
def follow(trades: Any, columns: Floats, ts: Integers, starts: Integers, lengths: Integers) -> None:
    """Follow each signal to its end by the shared rule, with its excursions as the tracker counts them."""
    for number in range(trades.size):
        trade = trades[number]
        side, entry = trade.side, trade.entry
        length = lengths[trade.symbol]
        best, worst, held = 0.0, 0.0, 0
        for row in range(trade.row + 1, starts[trade.symbol + 1]):
            if ts[row] < trade.ts:
                continue
            held += 1
            open_, high, low, close = (
                columns[row, OPEN_],
                columns[row, HIGH],
                columns[row, LOW],
                columns[row, CLOSE],
            )
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
            gain, loss = (top, bottom) if side > 0 else (bottom, top)
            best = max(best, side * (gain - entry) / entry * PERCENT)
            worst = min(worst, side * (loss - entry) / entry * PERCENT)
            if code != OPEN:
                trade.result = code
                trade.exit = price
                trade.exit_row = row
                trade.closed = ts[row] + length
                trade.held = held
                trade.best = best
                trade.worst = worst
                break


def finished(trades: Trades, costs: Costs) -> Trades:
    """Signals with the figures of their outcomes, in the rounding in which signals tell them."""
    ended = trades["result"] != OPEN
    gain = np.where(ended, trades["side"] * (trades["exit"] - trades["entry"]), 0.0)
    trades["pnl"] = gain / trades["entry"] * PERCENT
    trades["pnl_net"] = np.where(ended, trades["pnl"] - costs.round_trip, 0.0)
    trades["r_multiple"] = gain / np.abs(trades["entry"] - trades["stop"])
    for name, digits in (("raw", 2), ("agreement", 6), ("weight", 6)):
        trades[name] = rounded(trades[name], digits)
    return trades


def rounded(values: Floats, digits: int) -> Floats:
    """As Python rounds each, which numpy does not where a value lies next to the middle of two results."""
    found: Floats = values.round(digits)
    scaled = values * 10.0**digits
    doubtful = np.nonzero(np.abs(scaled - np.floor(scaled) - 0.5) < DOUBT)
    found[doubtful] = [round(value, digits) for value in values[doubtful].tolist()]
    return found
