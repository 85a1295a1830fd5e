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
def when(condition: bool, points: float) -> float:  # noqa: FBT001 - in the kernel
    """The points where the condition holds, else none.

    Both are there before it is asked: a choice between two figures costs nothing, whereas a branch that no
    processor can foresee costs as much as forty additions.
    """
    return points if condition else 0.0


@compiled
def ballot(direction: int, points: float, rules: Rules) -> tuple[int, float]:
    """The vote of so many points: capped, an abstention under the floor."""
    enough = points >= rules.floor - EXACT
    confidence = min(points, rules.cap) / 100.0
    return direction if enough else ABSTAIN, when(enough, confidence)


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
    aligned = order_of(close, sma_20, sma_50) != 0
    points = rules.trend_base + when(aligned, rules.trend_aligned)
    points += when(direction != 0 and not aligned, rules.trend_side)
    if volume_mean > 0.0:
        ratio = volume / volume_mean
        much = ratio > rules.volume_ratio
        points += when(much, rules.trend_volume)
        points += when(ratio >= 1.0 and not much, rules.trend_some_volume)
    points += when(abs(change) > rules.change, rules.trend_change)
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
    base = rules.technical_base
    price_side = side_of(close, sma_20, close)
    macd_side = side_of(macd, macd_signal, close)
    lead = int(rsi < rules.rsi_low) - int(rsi > rules.rsi_high)
    extreme = rsi < rules.rsi_oversold or rsi > rules.rsi_overbought
    led = base + (rules.rsi_extreme if extreme else rules.rsi_lean)
    led += when(price_side == lead, rules.price_agrees) - when(price_side == -lead, rules.price_disagrees)
    led += when(macd_side == lead, rules.macd_agrees) - when(macd_side == -lead, rules.macd_disagrees)
    led += when(side_of(sma_20, sma_50, close) == lead, rules.averages_agree)
    aligned = order_of(close, sma_20, sma_50) != 0
    follows = base + when(aligned, rules.fallback_aligned)
    follows += when(price_side != 0 and not aligned, rules.fallback_side)
    leads = lead != 0
    return ballot(lead if leads else price_side, led if leads else follows, rules)
