"""Indicators kept up to date bar by bar, each in constant time.

A running sum is taken afresh once in every window, so that rounding cannot build up. Averages, MACD, RSI and
ATR are seeded as TA-Lib seeds them. Standard deviations are of the sample (n − 1).
"""

import math

from heliograph.consensus.engine.compilation import compiled
from heliograph.consensus.engine.layout import AVERAGES, CLOSES, EXTREMES, VOLUMES, Floats, Symbol

WILDER = 14
FAST = 12
SLOW = 26
SMOOTH = 9
EMA = 20
LONGEST = 200
"""The longest window of a running sum; COMMON divides all of them, so only at its multiples one can begin."""
COMMON = 10
FIRST_SIGNAL = SLOW + SMOOTH - 1
ROUNDING = 1e-12
"""Relative difference under which two figures are equal: noise of rounding must not take a side."""
NO_SPREAD = 1e-14
"""Share of the mean square under which a variance is rounding."""


@compiled
def side_of(value: float, reference: float, scale: float) -> int:
    """+1 where `value` is above `reference`, −1 below, 0 where they are equal within rounding of `scale`."""
    difference = value - reference
    margin = ROUNDING * abs(scale)
    return int(difference > margin) - int(difference < -margin)


@compiled
def earlier(slot: int, bars: int, size: int) -> int:
    """The slot of a ring that many bars before another one, at most a round; cheaper than a division."""
    return slot - bars if slot >= bars else slot - bars + size


@compiled
def rolled(total: float, ring: Floats, slot: int, held: int, window: int) -> float:
    """The sum of the newest `window` of `held` values, the newest of which, at `slot`, is not in `total`."""
    size = ring.size
    if held % window == 0:
        fresh: float = 0.0
        at = earlier(slot, window - 1, size)
        for _ in range(window):
            fresh += ring[at]
            at = at + 1 if at + 1 < size else 0
        return fresh
    moved: float = total + ring[slot]
    if held > window:
        moved -= ring[earlier(slot, window, size)]
    return moved


@compiled
def return_at(closes: Floats, slot: int) -> float:
    """The return of the bar at a slot of the ring over the bar before it."""
    found: float = closes[slot] / closes[earlier(slot, 1, CLOSES)] - 1.0
    return found


@compiled
def rolled_returns(
    total: float, squares: float, closes: Floats, slot: int, changes: int, window: int
) -> tuple[float, float]:
    """As `rolled`, the sums of the newest `window` of `changes` returns and of their squares."""
    if changes % window == 0:
        fresh, fresh_squares = 0.0, 0.0
        at = earlier(slot, window - 1, CLOSES)
        for _ in range(window):
            value = return_at(closes, at)
            fresh += value
            fresh_squares += value * value
            at = at + 1 if at + 1 < CLOSES else 0
        return fresh, fresh_squares
    newest = return_at(closes, slot)
    moved, moved_squares = total + newest, squares + newest * newest
    if changes > window:
        oldest = return_at(closes, earlier(slot, window, CLOSES))
        moved -= oldest
        moved_squares -= oldest * oldest
    return moved, moved_squares


@compiled
def spread(total: float, squares: float, count: int) -> float:
    """Standard deviation of the sample from a sum and a sum of squares of `count` values."""
    variance = (squares - total * total / count) / (count - 1)
    return math.sqrt(variance) if variance > NO_SPREAD * squares / count else 0.0


@compiled
def mean_of_newest(ring: Floats, held: int, window: int) -> float:
    """The mean of the newest `window` of `held` values, summed from the oldest to the newest."""
    total = 0.0
    for index in range(held - window, held):
        total += ring[index % ring.size]
    return total / window


@compiled
def wilder(average: float, value: float, held: int) -> float:
    """Wilder's average over 14 values, the newest being the `held`-th: their sum until there are 14."""
    if held > WILDER:
        return (average * (WILDER - 1) + value) / WILDER
    return average + value if held < WILDER else (average + value) / WILDER


@compiled
def absorb(symbol: Symbol, high: float, low: float, close: float, volume: float) -> None:
    """Take the next bar of a symbol into its indicators."""
    before = symbol.bars
    bars = before + 1
    slot, volume_slot = before % CLOSES, before % VOLUMES
    symbol.closes[slot] = close
    symbol.volumes[volume_slot] = volume
    absorb_sums(symbol, bars, slot, volume_slot, close, volume)
    if before > 0:
        absorb_returns(symbol, before, slot, close)
        absorb_change(symbol, before, high, low, close)
    absorb_macd(symbol, bars, close)
    absorb_ema(symbol, bars, close)
    absorb_extremes(symbol, before, high, low)
    symbol.close = close
    symbol.bars = bars


@compiled
def absorb_sums(symbol: Symbol, bars: int, slot: int, volume_slot: int, close: float, volume: float) -> None:
    """The sums of closes and of volumes; at most bars no window is taken afresh, and none is short."""
    closes, volumes = symbol.closes, symbol.volumes
    if bars > LONGEST and bars % COMMON != 0:
        symbol.close_sum_20 = symbol.close_sum_20 + close - closes[earlier(slot, 20, CLOSES)]
        symbol.close_sum_50 = symbol.close_sum_50 + close - closes[earlier(slot, 50, CLOSES)]
        symbol.close_sum_200 = symbol.close_sum_200 + close - closes[earlier(slot, 200, CLOSES)]
        symbol.volume_sum_20 = symbol.volume_sum_20 + volume - volumes[earlier(volume_slot, 20, VOLUMES)]
        return
    symbol.close_sum_20 = rolled(symbol.close_sum_20, closes, slot, bars, 20)
    symbol.close_sum_50 = rolled(symbol.close_sum_50, closes, slot, bars, 50)
    symbol.close_sum_200 = rolled(symbol.close_sum_200, closes, slot, bars, 200)
    symbol.volume_sum_20 = rolled(symbol.volume_sum_20, volumes, volume_slot, bars, 20)


@compiled
def absorb_returns(symbol: Symbol, changes: int, slot: int, close: float) -> None:
    """The sums of returns and of their squares, likewise."""
    closes = symbol.closes
    if changes > LONGEST and changes % COMMON != 0:
        newest = close / closes[earlier(slot, 1, CLOSES)] - 1.0
        square = newest * newest
        oldest = return_at(closes, earlier(slot, 20, CLOSES))
        symbol.return_sum_20 = symbol.return_sum_20 + newest - oldest
        symbol.return_squares_20 = symbol.return_squares_20 + square - oldest * oldest
        oldest = return_at(closes, earlier(slot, 50, CLOSES))
        symbol.return_sum_50 = symbol.return_sum_50 + newest - oldest
        symbol.return_squares_50 = symbol.return_squares_50 + square - oldest * oldest
        return
    symbol.return_sum_20, symbol.return_squares_20 = rolled_returns(
        symbol.return_sum_20, symbol.return_squares_20, closes, slot, changes, 20
    )
    symbol.return_sum_50, symbol.return_squares_50 = rolled_returns(
        symbol.return_sum_50, symbol.return_squares_50, closes, slot, changes, 50
    )


@compiled
def absorb_extremes(symbol: Symbol, newest: int, high: float, low: float) -> None:
    """The highest high and the lowest low of the newest 40 bars, and which bars have them.

    Of equal ones the latest counts. Looked for anew only where the one before has left the window and the
    newest does not take its place.
    """
    slot = newest % EXTREMES
    reaches = symbol.reaches
    reaches[slot, 0] = high
    reaches[slot, 1] = low
    highest, high_bar = symbol.highest, symbol.high_bar
    higher = high >= highest
    symbol.highest = high if higher else highest
    symbol.high_bar = newest if higher else high_bar
    if newest - symbol.high_bar >= EXTREMES:
        best = highest_of(reaches)
        symbol.highest, symbol.high_bar = best, newest - age_of(reaches, 0, best, slot)
    lowest, low_bar = symbol.lowest, symbol.low_bar
    lower = low <= lowest or newest == 0
    symbol.lowest = low if lower else lowest
    symbol.low_bar = newest if lower else low_bar
    if newest - symbol.low_bar >= EXTREMES:
        best = lowest_of(reaches)
        symbol.lowest, symbol.low_bar = best, newest - age_of(reaches, 1, best, slot)


@compiled
def highest_of(reaches: Floats) -> float:
    """The highest high of a full ring, by four that do not wait for each other."""
    one, two, three, four = reaches[0, 0], reaches[1, 0], reaches[2, 0], reaches[3, 0]
    for at in range(4, EXTREMES, 4):
        one = max(one, reaches[at, 0])
        two = max(two, reaches[at + 1, 0])
        three = max(three, reaches[at + 2, 0])
        four = max(four, reaches[at + 3, 0])
    found: float = max(one, two, three, four)
    return found


@compiled
def lowest_of(reaches: Floats) -> float:
    """The lowest low, likewise."""
    one, two, three, four = reaches[0, 1], reaches[1, 1], reaches[2, 1], reaches[3, 1]
    for at in range(4, EXTREMES, 4):
        one = min(one, reaches[at, 1])
        two = min(two, reaches[at + 1, 1])
        three = min(three, reaches[at + 2, 1])
        four = min(four, reaches[at + 3, 1])
    found: float = min(one, two, three, four)
    return found


@compiled
def age_of(reaches: Floats, column: int, value: float, slot: int) -> int:
    """How many bars before the newest one, at `slot`, the latest with this value is; there is one."""
    age = 0
    while reaches[earlier(slot, age, EXTREMES), column] != value:
        age += 1
    return age


@compiled
def absorb_change(symbol: Symbol, changes: int, high: float, low: float, close: float) -> None:
    """What rests on the step from the bar before: Wilder's gain and loss (RSI), true range (ATR)."""
    prior = symbol.close
    change = close - prior
    symbol.average_gain = wilder(symbol.average_gain, max(change, 0.0), changes)
    symbol.average_loss = wilder(symbol.average_loss, max(-change, 0.0), changes)
    true_range = max(high - low, abs(high - prior), abs(low - prior))
    symbol.atr_14 = wilder(symbol.atr_14, true_range, changes)


@compiled
def absorb_macd(symbol: Symbol, bars: int, close: float) -> None:
    """EMA12 and EMA26 both begin at the 26th bar as simple means, the signal line as that of nine values."""
    if bars < SLOW:
        return
    if bars == SLOW:
        symbol.ema_12 = mean_of_newest(symbol.closes, bars, FAST)
        symbol.ema_26 = mean_of_newest(symbol.closes, bars, SLOW)
    else:
        symbol.ema_12 = next_ema(symbol.ema_12, close, FAST)
        symbol.ema_26 = next_ema(symbol.ema_26, close, SLOW)
    macd = symbol.ema_12 - symbol.ema_26
    if bars < FIRST_SIGNAL:
        symbol.macd_signal += macd
    elif bars == FIRST_SIGNAL:
        symbol.macd_signal = (symbol.macd_signal + macd) / SMOOTH
    else:
        symbol.macd_signal += (macd - symbol.macd_signal) * (2.0 / (SMOOTH + 1))


@compiled
def next_ema(before: float, close: float, period: int) -> float:
    """The exponential average after one more close."""
    return before + (close - before) * (2.0 / (period + 1))


@compiled
def absorb_ema(symbol: Symbol, bars: int, close: float) -> None:
    """EMA20, which begins at the 20th bar as the simple mean."""
    slot = (bars - 1) % AVERAGES
    if bars > EMA:
        before = symbol.emas_20[earlier(slot, 1, AVERAGES)]
        symbol.emas_20[slot] = next_ema(before, close, EMA)
    elif bars == EMA:
        symbol.emas_20[slot] = symbol.close_sum_20 / EMA


@compiled
def rsi(average_gain: float, average_loss: float, close: float) -> float:
    """Wilder's RSI, 0–100; 50 where nothing has moved (TA-Lib says 0 there, which would read as oversold)."""
    moved = average_gain + average_loss
    return 100.0 * average_gain / moved if moved > ROUNDING * close else 50.0


@compiled
def change_over(symbol: Symbol, lag: int) -> float:
    """The newest close over that of `lag` bars before, minus 1."""
    before = symbol.closes[earlier((symbol.bars - 1) % CLOSES, lag, CLOSES)]
    return float(symbol.close / before - 1.0)
