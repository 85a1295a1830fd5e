"""The rules of the sources that are computed from bars.

Each gives a direction (−1, 0, +1, or ABSTAIN) and a confidence of 0–1. Points are of 100, as in `Rules`.
"""

from heliograph.consensus.engine.compilation import compiled
from heliograph.consensus.engine.indicators import side_of
from heliograph.consensus.engine.layout import ABSTAIN
from heliograph.consensus.engine.rules import Rules

EXACT = 1e-9
"""A figure this near to a threshold has reached it: points decide, not the rounding of a sum."""


@compiled
def ballot(direction: int, points: float, rules: Rules) -> tuple[int, float]:
    """The vote of so many points: capped, an abstention under the floor."""
    if not points >= rules.floor - EXACT:
        return ABSTAIN, 0.0
    return direction, min(points, rules.cap) / 100.0


@compiled
def order_of(close: float, sma_20: float, sma_50: float) -> int:
    """+1 where close > SMA20 > SMA50, −1 where all the other way round, else 0 (a missing SMA50 is NaN)."""
    side = side_of(close, sma_20, close)
    return side if side == side_of(sma_20, sma_50, close) else 0


@compiled
def trend(
    close: float,
    sma_20: float,
    sma_50: float,
    volume: float,
    volume_mean: float,
    change: float,
    rules: Rules,
) -> tuple[int, float]:
    """Price against its averages, volume against its 20-bar mean, and the 5-bar change (a fraction)."""
    direction = side_of(close, sma_20, close)
    points = rules.trend_base
    if direction != 0:
        aligned = order_of(close, sma_20, sma_50) == direction
        points += rules.trend_aligned if aligned else rules.trend_side
    if volume_mean > 0.0:
        ratio = volume / volume_mean
        if ratio > rules.volume_ratio:
            points += rules.trend_volume
        elif ratio >= 1.0:
            points += rules.trend_some_volume
    if abs(change) > rules.change:
        points += rules.trend_change
    return ballot(direction, points, rules)


@compiled
def technical(
    close: float,
    sma_20: float,
    sma_50: float,
    rsi: float,
    macd: float,
    macd_signal: float,
    rules: Rules,
) -> tuple[int, float]:
    """RSI14 leads, against the crowd; price, MACD and averages agree or not; a neutral RSI follows price."""
    direction = 0
    points = rules.technical_base
    if rsi < rules.rsi_low:
        direction = 1
        points += rules.rsi_extreme if rsi < rules.rsi_oversold else rules.rsi_lean
    elif rsi > rules.rsi_high:
        direction = -1
        points += rules.rsi_extreme if rsi > rules.rsi_overbought else rules.rsi_lean
    price_side = side_of(close, sma_20, close)
    if direction == 0:
        aligned = price_side != 0 and order_of(close, sma_20, sma_50) == price_side
        if price_side != 0:
            points += rules.fallback_aligned if aligned else rules.fallback_side
        return ballot(price_side, points, rules)
    if price_side != 0:
        points += rules.price_agrees if price_side == direction else -rules.price_disagrees
    macd_side = side_of(macd, macd_signal, close)
    if macd_side != 0:
        points += rules.macd_agrees if macd_side == direction else -rules.macd_disagrees
    if side_of(sma_20, sma_50, close) == direction:
        points += rules.averages_agree
    return ballot(direction, points, rules)
