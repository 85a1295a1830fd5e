"""The one compiled kernel: a batch of bars in, decisions out, the state of the shard moved on."""

import math

from heliograph.common import outcomes
from heliograph.consensus.engine.arms import arm_of
from heliograph.consensus.engine.compilation import borrowed, compiled, compiled_on_disk
from heliograph.consensus.engine.consensus import tally, verdict_of
from heliograph.consensus.engine.foresight import look_ahead
from heliograph.consensus.engine.frames import DAY, absorb_frames, clock_of
from heliograph.consensus.engine.indicators import absorb, change_over, rsi
from heliograph.consensus.engine.layout import (
    ARMS,
    BAD_BAR,
    BARS,
    MINIMUM_BARS,
    OPEN_ALREADY,
    OTHER_INTERVAL,
    PRICE,
    SIGNALS,
    STALE,
    SWING,
    TECHNICAL,
    TREND,
    Decision,
    Floats,
    Integers,
    Records,
    Symbol,
    Table,
)
from heliograph.consensus.engine.prices import prices_of, tradable
from heliograph.consensus.engine.programs import tally_programs
from heliograph.consensus.engine.regime import in_crisis, multiplier_of, regime_of, view_of
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.swing import swing
from heliograph.consensus.engine.votes import technical, trend

close_by_bar = compiled(outcomes.close_by_bar)

NANOSECONDS_A_DAY = 86_400e9
HIGHEST_PRICE = 1e12
"""Above it a bar is bad: a number of ticks must fit into 64 bits, and averages into a float."""
HIGHEST_VOLUME = 1e18


@compiled
def refusal(
    symbol: Symbol,
    bar_ts: int,
    interval_ns: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: float,
) -> int:
    """BARS where a bar can be taken, else why not; the quality gate has refused these before."""
    # No min or max here: beside a NaN they give the other value, as if the NaN were none.
    within = low <= open_ <= high and low <= close <= high
    if not (within and low > 0.0 and high <= HIGHEST_PRICE and 0.0 <= volume <= HIGHEST_VOLUME):
        return BAD_BAR
    if symbol.bars > 0:
        if interval_ns != symbol.interval_ns:
            return OTHER_INTERVAL
        if bar_ts <= symbol.last_ts:
            return STALE
    return BARS


@compiled
def untouched(
    side: int, stop: float, target: float, expires: int, closed_at: int, high: float, low: float
) -> bool:
    """Whether a bar leaves a signal open, as `close_by_bar` says at greater length.

    A bar that is not refused opens between its low and its high, so that these two say it all.
    """
    floor, ceiling = (stop, target) if side > 0 else (target, stop)
    return bool((low > floor) & (high < ceiling) & (closed_at < expires))


@compiled
def close_one(
    symbol: Symbol,
    column: int,
    bar_ts: int,
    closed_at: int,
    open_: float,
    high: float,
    low: float,
    close: float,
) -> tuple[bool, float]:
    """Close one of the symbol's signals under way if this bar ends it, by the rule that the tracker uses.

    Its R multiple, which is given back too, is part of the prior of the symbol's next swings.
    """
    expires = symbol.expires[column]
    if expires == 0:
        return False, 0.0
    side = 1 - 2 * (column % 2)
    stop, target = symbol.stop[column], symbol.target[column]
    if untouched(side, stop, target, expires, closed_at, high, low):
        return False, 0.0
    result, leaving = close_by_bar(side, stop, target, expires, bar_ts, closed_at, open_, high, low, close)
    if result == outcomes.OPEN:
        return False, 0.0
    entry = symbol.entry[column]
    multiple = side * (leaving - entry) / abs(entry - stop)
    symbol.expires[column] = 0
    symbol.outcomes += 1
    symbol.outcome_r += multiple
    return True, multiple


@compiled
def close_held(
    symbol: Symbol,
    bar_ts: int,
    closed_at: int,
    open_: float,
    high: float,
    low: float,
    close: float,
) -> None:
    """Close the symbol's signals under way that this bar ends."""
    for column in range(2 * ARMS):
        close_one(symbol, column, bar_ts, closed_at, open_, high, low, close)


@compiled
def cast(symbol: Symbol, source: int, ballot: tuple[int, float], time: int) -> None:
    """Put a vote into the matrix."""
    symbol.direction[source] = ballot[0]
    symbol.confidence[source] = ballot[1]
    symbol.voted_at[source] = time


@compiled
def cast_from_bars(
    symbol: Symbol,
    benchmark: Symbol,
    sma_20: float,
    sma_50: float,
    volume: float,
    time: int,
    voting: int,
    rules: Rules,
) -> None:
    """Let the sources that have a weight and need nothing but bars vote, as soon as each has enough."""
    count = symbol.bars
    close = symbol.close
    strength = rsi(symbol.average_gain, symbol.average_loss, close)
    if voting & 1 << TREND and count >= MINIMUM_BARS[TREND]:
        change = change_over(symbol, 5)
        ballot = trend(close, sma_20, sma_50, volume, symbol.volume_sum_20 / 20.0, change, rules)
        cast(symbol, TREND, ballot, time)
    if voting & 1 << TECHNICAL and count >= MINIMUM_BARS[TECHNICAL]:
        macd = symbol.ema_12 - symbol.ema_26
        ballot = technical(close, sma_20, sma_50, strength, macd, symbol.macd_signal, rules)
        cast(symbol, TECHNICAL, ballot, time)
    if voting & 1 << SWING and count >= MINIMUM_BARS[SWING]:
        cast(symbol, SWING, swing(symbol, benchmark, rules), time)


@compiled
def surroundings(symbol: Symbol, sma_20: float, sma_50: float, rules: Rules) -> tuple[int, int]:
    """Regime and view of a symbol."""
    sma_200 = symbol.close_sum_200 / 200.0
    crisis = in_crisis(
        symbol.return_sum_20, symbol.return_squares_20, symbol.return_sum_50, symbol.return_squares_50, rules
    )
    regime = regime_of(symbol.bars, crisis, sma_20, sma_50, sma_200)
    return regime, view_of(regime, symbol.close, symbol.atr_14, sma_20, sma_50, sma_200, rules)


@compiled
def decide(
    symbol: Symbol,
    benchmark: Symbol,
    found: tuple[int, int, float, float, float],
    setting: tuple[int, int, int],
    time: int,
    voting: int,
    rules: Rules,
    decision: Decision,
) -> int:
    """Where a verdict is to signal and nothing stands against it: fill `decision`, hold the signal.

    Args:
        found: as `verdict_of` gives it; `setting` arm, regime and view.
        time: close of the bar.
        voting: as in Table; a swing source that has no vote is asked here, since it has a say in prices.

    Returns:
        What came of it, a number of COUNTS.
    """
    verdict, side, raw, agreement, voted = found
    if verdict != SIGNALS:
        return verdict
    arm, regime, view = setting
    column = 2 * arm + (1 - side) // 2
    if symbol.expires[column] != 0:
        return OPEN_ALREADY
    if rules.swing_prices > 0.0 and not voting & 1 << SWING and symbol.bars >= MINIMUM_BARS[SWING]:
        cast(symbol, SWING, swing(symbol, benchmark, rules), time)
    by_swing, entry, stop, target = prices_of(symbol, side, rules)
    if not tradable(side, entry, stop, target):
        return PRICE
    days = rules.swing_expiry_days if by_swing and symbol.interval_ns < DAY else rules.expiry_days
    expires = time + int(days * NANOSECONDS_A_DAY)
    symbol.expires[column] = expires
    symbol.entry[column] = entry
    symbol.stop[column] = stop
    symbol.target[column] = target
    decision.side = side
    decision.entry = entry
    decision.stop = stop
    decision.target = target
    decision.expires = expires
    decision.raw = raw
    decision.agreement = agreement
    decision.voted = voted
    decision.regime = regime
    decision.view = view
    decision.arm = arm
    return SIGNALS


@compiled
def averages_of(symbol: Symbol) -> tuple[float, float]:
    """SMA20, and SMA50 or NaN while there are too few bars."""
    return (
        symbol.close_sum_20 / 20.0,
        symbol.close_sum_50 / 50.0 if symbol.bars >= MINIMUM_BARS[TREND] else math.nan,
    )


@compiled
def take(
    symbol: Symbol,
    benchmark: Symbol,
    bar: tuple[float, float, float, float, float],
    clock: tuple[int, int, bool, bool],
    closed_at: int,
    voting: int,
    rules: Rules,
) -> tuple[float, float]:
    """Take a bar (open, high, low, close, volume) that is not refused, and vote. SMA20 and SMA50."""
    _, high, low, close, volume = bar
    absorb_frames(symbol, clock, close, rules)
    absorb(symbol, high, low, close, volume)
    sma_20, sma_50 = averages_of(symbol)
    cast_from_bars(symbol, benchmark, sma_20, sma_50, volume, closed_at, voting, rules)
    return sma_20, sma_50


@compiled
def step_one(
    symbol: Symbol,
    benchmark: Symbol,
    bar: tuple[float, float, float, float, float],
    bar_ts: int,
    interval_ns: int,
    clock: tuple[int, int, bool, bool],
    rules: Rules,
    weights: Records,
    programs: Records,
    decision: Decision,
    counts: Integers,
) -> bool:
    """Take one bar (open, high, low, close, volume) of a symbol; whether it led to a decision.

    `clock` is that of the bar, see `clock_of`; the others are as in `step`.
    """
    open_, high, low, close, volume = bar
    taken = refusal(symbol, bar_ts, interval_ns, open_, high, low, close, volume)
    counts[taken] += 1
    if taken != BARS:
        return False
    closed_at = bar_ts + interval_ns
    symbol.last_ts = bar_ts
    symbol.interval_ns = interval_ns
    close_held(symbol, bar_ts, closed_at, open_, high, low, close)
    sma_20, sma_50 = take(symbol, benchmark, bar, clock, closed_at, weights[0].voting, rules)
    regime, view = surroundings(symbol, sma_20, sma_50, rules)
    arm = arm_of(symbol.key, bar_ts, weights)
    table: Table = weights[arm]
    sums = tally_programs(tally(symbol, view, table), symbol, view, table, programs, rules)
    found = verdict_of(sums, multiplier_of(regime, rules), rules)
    verdict = decide(
        symbol, benchmark, found, (arm, regime, view), closed_at, weights[0].voting, rules, decision
    )
    counts[verdict] += 1
    return verdict == SIGNALS


@compiled_on_disk
def step(
    symbols: Records,
    rows: Integers,
    bars: Floats,
    bar_ts: int,
    interval_ns: int,
    rule: Records,
    weights: Records,
    programs: Records,
    decisions: Records,
    counts: Integers,
) -> int:
    """Take one bar of each of some symbols.

    Args:
        symbols: of the layout SYMBOL, shape (capacity,).
        rows: the symbol of each bar, shape (n,).
        bars: open, high, low, close, volume, shape (5, n).
        bar_ts: start of the bars, nanoseconds; `interval_ns` their length.
        rule: the rules, shape (1,).
        weights: of the layout TABLE, shape (1,), or (2,) where a second strategy runs beside the first.
        programs: compiled plug-ins, of PROGRAM, shape (sources,); what they say of each row is left in them.
        decisions: receives the rows that pass, shape (at least n,).
        counts: what became of each row is added here, as in COUNTS.

    Returns:
        How many decisions were made.
    """
    symbols, rows, bars, counts = borrowed(symbols), borrowed(rows), borrowed(bars), borrowed(counts)
    weights, programs, decisions = borrowed(weights), borrowed(programs), borrowed(decisions)
    rules: Rules = borrowed(rule)[0]
    first: Table = weights[0]
    clock = clock_of(interval_ns, bar_ts)
    made = 0
    for position in range(rows.size):
        look_ahead(symbols, rows, position)
        symbol: Symbol = symbols[rows[position]]
        benchmark: Symbol = symbols[first.benchmark] if first.benchmark >= 0 else symbol
        bar = (
            bars[0, position],
            bars[1, position],
            bars[2, position],
            bars[3, position],
            bars[4, position],
        )
        if step_one(
            symbol,
            benchmark,
            bar,
            bar_ts,
            interval_ns,
            clock,
            rules,
            weights,
            programs,
            decisions[made],
            counts,
        ):
            decisions[made].position = position
            made += 1
    return made
