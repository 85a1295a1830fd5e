"""The trend label of a price: how EMA20 leans, where the price is to it, and RSI14."""

from typing import Final

from heliograph.consensus.engine.compilation import compiled
from heliograph.consensus.engine.indicators import side_of
from heliograph.consensus.engine.rules import Rules

STRONG: Final = 2
"""Up is +1 and strongly up +2, down likewise below 0, sideways 0."""
MIDDLE: Final = 100.0
"""An RSI and its mirror image have this sum."""


@compiled
def label_of(close: float, ema: float, ema_before: float, rsi: float, rules: Rules) -> int:
    """The label by EMA20 now and six bars before: the slope is their difference as a share of the price."""
    slope = (ema - ema_before) / close
    side = side_of(close, ema, close)
    up = side > 0 and slope > rules.swing_slope and rsi >= rules.swing_rsi_up
    down = side < 0 and slope < -rules.swing_slope and rsi <= MIDDLE - rules.swing_rsi_up
    strong = abs(slope) > rules.swing_slope_strong
    return (int(up) - int(down)) * (STRONG if strong else 1)
