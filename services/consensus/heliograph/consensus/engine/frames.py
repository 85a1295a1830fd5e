"""Higher timeframes of a symbol, made of its own bars: the trend label of each, by complete bars alone.

Of 15m, 1h, 4h, 1d and 1w the first two that are longer than the bars are kept: 15m and 1h for bars of up to
5m, 1h and 4h for 15m and 30m, 4h and 1d for 1h, 1d and 1w for 4h, and 1w alone for 1d. A label rests on
closes (EMA20, RSI14), so the close of a higher bar is all that is needed of it. A higher bar is complete when
a bar ends with it or a bar of a later one comes; weeks begin on Monday, days at midnight UTC.
"""

from heliograph.common.clock import NANOSECONDS
from heliograph.common.intervals import INTERVALS_NS
from heliograph.consensus.engine.compilation import compiled
from heliograph.consensus.engine.indicators import EMA, next_ema, rsi, wilder
from heliograph.consensus.engine.layout import AVERAGES, FRAMES, SLOPE, Symbol
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.trends import label_of

QUARTER = INTERVALS_NS["15m"]
HOUR = INTERVALS_NS["1h"]
FOUR_HOURS = INTERVALS_NS["4h"]
DAY = INTERVALS_NS["1d"]
WEEK = INTERVALS_NS["1w"]
TO_MONDAY = 3 * 86_400 * NANOSECONDS
"""1970 began on a Thursday: so much later, weeks counted from then begin on Monday."""


@compiled
def frames_of(interval_ns: int) -> tuple[int, int]:
    """Lengths of the two timeframes above bars of some length, nanoseconds; 0 where there is none."""
    if interval_ns < QUARTER:
        return QUARTER, HOUR
    if interval_ns < HOUR:
        return HOUR, FOUR_HOURS
    if interval_ns < FOUR_HOURS:
        return FOUR_HOURS, DAY
    if interval_ns < DAY:
        return DAY, WEEK
    if interval_ns < WEEK:
        return WEEK, 0
    return 0, 0


@compiled
def complete(symbol: Symbol, frame: int, close: float, rules: Rules) -> None:
    """Take the close of a complete higher bar."""
    before = symbol.frame_bars[frame]
    bars = before + 1
    if before > 0:
        change = close - symbol.frame_close[frame]
        symbol.frame_gain[frame] = wilder(symbol.frame_gain[frame], max(change, 0.0), before)
        symbol.frame_loss[frame] = wilder(symbol.frame_loss[frame], max(-change, 0.0), before)
    average = symbol.frame_emas[frame, (before - 1) % AVERAGES]
    if bars > EMA:
        average = next_ema(average, close, EMA)
    else:
        average = average + close if before > 0 else close
        if bars == EMA:
            average /= EMA
    symbol.frame_emas[frame, before % AVERAGES] = average
    symbol.frame_close[frame] = close
    symbol.frame_bars[frame] = bars
    if bars >= EMA + SLOPE:
        strength = rsi(symbol.frame_gain[frame], symbol.frame_loss[frame], close)
        earlier = symbol.frame_emas[frame, (before - SLOPE) % AVERAGES]
        symbol.frame_label[frame] = label_of(close, average, earlier, strength, rules)


@compiled
def clock_of(interval_ns: int, bar_ts: int) -> tuple[int, int, bool, bool]:
    """Of both timeframes the number of the bar under way plus 1 (0 without one), and whether it ends here.

    The same for all bars of a batch, so that its divisions are done once.
    """
    first, second = frames_of(interval_ns)
    begin = bar_ts + TO_MONDAY
    one, first_ends = 0, False
    if first > 0:
        past = begin // first
        one, first_ends = past + 1, begin - past * first + interval_ns >= first
    two, second_ends = 0, False
    if second > 0:
        past = begin // second
        two, second_ends = past + 1, begin - past * second + interval_ns >= second
    return one, two, first_ends, second_ends


@compiled
def absorb_frames(symbol: Symbol, clock: tuple[int, int, bool, bool], close: float, rules: Rules) -> None:
    """Take the next bar into the higher timeframes, before the symbol's own `close` moves on."""
    for frame in range(FRAMES):
        period, ends = (clock[0], clock[2]) if frame == 0 else (clock[1], clock[3])
        if period == 0:
            continue
        under_way = symbol.frame_period[frame]
        if under_way not in (0, period):
            complete(symbol, frame, symbol.close, rules)
        symbol.frame_period[frame] = 0 if ends else period
        if ends:
            complete(symbol, frame, close, rules)
