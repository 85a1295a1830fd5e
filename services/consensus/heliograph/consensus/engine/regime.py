"""The regime of a symbol, its enhanced view, and the multiplier that goes with it."""

from heliograph.consensus.engine.compilation import compiled
from heliograph.consensus.engine.indicators import side_of
from heliograph.consensus.engine.layout import (
    BEAR,
    BULL,
    CHOP,
    CONSOLIDATION,
    CRISIS,
    TRENDING,
    UNKNOWN,
    VOLATILE,
)
from heliograph.consensus.engine.rules import Rules

REGIME_BARS = 200
"""Bars under which the regime is UNKNOWN: SMA200 needs them."""


@compiled
def averages_side(sma_20: float, sma_50: float, sma_200: float) -> int:
    """+1 where SMA20 > SMA50 > SMA200, −1 where all the other way round, else 0."""
    side = side_of(sma_20, sma_50, sma_200)
    return side if side == side_of(sma_50, sma_200, sma_200) else 0


@compiled
def regime_of(
    bars: int, spread_20: float, spread_50: float, sma_20: float, sma_50: float, sma_200: float, rules: Rules
) -> int:
    """CRISIS before BULL before BEAR before CHOP; UNKNOWN with under 200 bars. Spreads are of returns."""
    if bars < REGIME_BARS:
        return UNKNOWN
    if spread_20 > rules.crisis_ratio * spread_50:
        return CRISIS
    side = averages_side(sma_20, sma_50, sma_200)
    if side > 0:
        return BULL
    return BEAR if side < 0 else CHOP


@compiled
def view_of(
    regime: int, close: float, atr: float, sma_20: float, sma_50: float, sma_200: float, rules: Rules
) -> int:
    """VOLATILE by ATR14 over price, TRENDING far from SMA200 with averages in order, else by the regime.

    BULL and BEAR are TRENDING, CHOP is CONSOLIDATION, CRISIS is VOLATILE, UNKNOWN stays UNKNOWN.
    """
    if regime == UNKNOWN:
        return UNKNOWN
    if atr > rules.volatile_atr * close:
        return VOLATILE
    far = abs(close - sma_200) > rules.trending_distance * sma_200
    if far and averages_side(sma_20, sma_50, sma_200) != 0:
        return TRENDING
    if regime in (BULL, BEAR):
        return TRENDING
    return CONSOLIDATION if regime == CHOP else VOLATILE


@compiled
def multiplier_of(regime: int, rules: Rules) -> float:
    """What the regime does to the confidence."""
    if regime == BULL:
        return rules.multiplier_bull
    if regime == BEAR:
        return rules.multiplier_bear
    if regime == CHOP:
        return rules.multiplier_chop
    if regime == CRISIS:
        return rules.multiplier_crisis
    return rules.multiplier_unknown
