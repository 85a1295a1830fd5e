"""The regime of a symbol, its enhanced view, and the multiplier that goes with it."""

from heliograph.consensus.engine.compilation import compiled
from heliograph.consensus.engine.indicators import side_of, spread
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
CLEAR = 1e-12
"""Share of the mean squares by which two variances differ that no rounding can bring into another order."""


@compiled
def averages_side(sma_20: float, sma_50: float, sma_200: float) -> int:
    """+1 where SMA20 > SMA50 > SMA200, −1 where all the other way round, else 0."""
    side = side_of(sma_20, sma_50, sma_200)
    return side if side == side_of(sma_50, sma_200, sma_200) else 0


@compiled
def in_crisis(total_20: float, squares_20: float, total_50: float, squares_50: float, rules: Rules) -> bool:
    """Whether the spread of 20 returns is over `crisis_ratio` times that of 50, by their sums and squares'.

    Two variances that are clearly apart need no root and no division; only for the others both are taken.
    """
    allowed = rules.crisis_ratio * rules.crisis_ratio
    short = (squares_20 - total_20 * total_20 * (1.0 / 20.0)) * (1.0 / 19.0)
    long = (squares_50 - total_50 * total_50 * (1.0 / 50.0)) * (1.0 / 49.0)
    excess = short - allowed * long
    if abs(excess) > CLEAR * (abs(squares_20) + allowed * abs(squares_50)):
        return excess > 0.0
    return spread(total_20, squares_20, 20) > rules.crisis_ratio * spread(total_50, squares_50, 50)


@compiled
def regime_of(
    bars: int,
    crisis: bool,  # noqa: FBT001 - in the kernel
    sma_20: float,
    sma_50: float,
    sma_200: float,
) -> int:
    """CRISIS before BULL before BEAR before CHOP; UNKNOWN with under 200 bars."""
    if bars < REGIME_BARS:
        return UNKNOWN
    if crisis:
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
