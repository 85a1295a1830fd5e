"""The sixteen features of a case, of a symbol's newest bar, in the order of `heliograph.common.patterns`."""

from typing import Final

from heliograph.consensus.engine.compilation import compiled
from heliograph.consensus.engine.indicators import rsi, side_of
from heliograph.consensus.engine.layout import AVERAGES, CLOSES, EXTREMES, SLOPE, Cases, Symbol
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.swing import NO_ENTRY, extremes_of, pocket, setup_of

PERCENT: Final = 100.0
WINDOW: Final = 20
WIDTHS: Final = 60
FEATURE_BARS: Final = WIDTHS + WINDOW - 1
"""Bars from which there are 60 widths of the Bollinger band, and so a volatility regime."""
LOW_RANK: Final = 19
"""A width with so many below it, or fewer, is not above the 33rd percentile of 60 (19.47 from the lowest)."""
HIGH_RANK: Final = 40
"""One that so many do not exceed is not under the 66th (38.94 from the lowest)."""
NO_SESSION: Final = 0
SESSION_OPEN: Final = 1
SESSION_CLOSE: Final = 2


@compiled
def volatility_regime(symbol: Symbol) -> int:
    """0, 1 or 2: the Bollinger width over the price low, middle or high among the newest 60 of them.

    Squares of widths are in the same order as widths. Closes are taken from the newest one, so that nothing
    is left of the sums where they do not move.
    """
    reference = symbol.close
    total, squares = 0.0, 0.0
    for age in range(WINDOW):
        value = symbol.closes[(symbol.bars - 1 - age) % CLOSES] - reference
        total += value
        squares += value * value
    newest = max(0.0, squares - total * total / WINDOW) / (reference * reference)
    below, upto = 0, 1
    for age in range(WIDTHS - 1):
        leaving = symbol.closes[(symbol.bars - 1 - age) % CLOSES] - reference
        coming = symbol.closes[(symbol.bars - 1 - age - WINDOW) % CLOSES] - reference
        total += coming - leaving
        squares += coming * coming - leaving * leaving
        price = symbol.closes[(symbol.bars - 2 - age) % CLOSES]
        width = max(0.0, squares - total * total / WINDOW) / (price * price)
        if width < newest:
            below += 1
        if width <= newest:
            upto += 1
    if below <= LOW_RANK:
        return 0
    return 2 if upto >= HIGH_RANK else 1


@compiled
def measure(cases: Cases, symbol: Symbol, session: int, conviction: float, rules: Rules) -> None:
    """Write the features of the newest bar into `now`; the symbol has its FEATURE_BARS.

    Args:
        session: part of the US session that the bar begins in.
        conviction: strength of the votes from bars, 0–1.
    """
    number = symbol.bars - 1
    close = symbol.close
    before = symbol.closes[(number - 1) % CLOSES]
    ema, ema_before = symbol.emas_20[number % AVERAGES], symbol.emas_20[(number - SLOPE) % AVERAGES]
    label, kind, _, entry, stop, target = setup_of(symbol, rules)
    swing, high, low = extremes_of(symbol)
    near, far = pocket(swing, high, low)
    end = high if swing > 0 else low
    prior = (number - 1) % EXTREMES
    now = cases.now
    now[0] = (ema - ema_before) / close
    now[1] = rsi(symbol.average_gain, symbol.average_loss, close)
    now[2] = PERCENT * symbol.atr_14 / close
    now[3] = 1.0 if side_of(close, ema, close) > 0 else 0.0
    now[4] = PERCENT * (symbol.reaches[prior, 0] - symbol.reaches[prior, 1]) / before
    now[5] = PERCENT * (cases.open / before - 1.0)
    now[6] = swing * (end - close) / (high - low) if swing != 0 and high > low else 0.0
    now[7] = 1.0 if swing != 0 and swing * far <= swing * close <= swing * near else 0.0
    now[8] = (target - entry) / (entry - stop) if kind != NO_ENTRY else 0.0
    now[9] = 1.0 if label > 0 else 0.0
    now[10] = 1.0 if label < 0 else 0.0
    now[11] = 1.0 if label == 0 else 0.0
    now[12] = 1.0 if session == SESSION_OPEN else 0.0
    now[13] = 1.0 if session == SESSION_CLOSE else 0.0
    now[14] = conviction
    now[15] = float(volatility_regime(symbol))
