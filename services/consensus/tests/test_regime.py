"""Regimes, the enhanced view and the multiplier."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.consensus.engine.indicators import spread
from heliograph.consensus.engine.layout import REGIMES, VIEWS
from heliograph.consensus.engine.regime import in_crisis, multiplier_of, regime_of, view_of
from heliograph.consensus.engine.rules import Rules

RULES = Rules()


@pytest.mark.parametrize(
    ("bars", "spreads", "averages", "regime"),
    [
        (200, (0.0151, 0.01), (103, 102, 101), "CRISIS"),
        (200, (0.015, 0.01), (103, 102, 101), "BULL"),
        (200, (0.01, 0.01), (101, 102, 103), "BEAR"),
        (200, (0.01, 0.01), (102, 103, 101), "CHOP"),
        (200, (0.01, 0.01), (102, 102, 101), "CHOP"),
        (200, (0.0, 0.0), (100, 100, 100), "CHOP"),
        (199, (0.05, 0.01), (103, 102, 101), "UNKNOWN"),
        (49, (0.05, 0.01), (103, math.nan, 101), "UNKNOWN"),
    ],
)
def test_regime(
    bars: int, spreads: tuple[float, float], averages: tuple[float, float, float], regime: str
) -> None:
    crisis = in_crisis(*sums(spreads[0], 20), *sums(spreads[1], 50), RULES)
    assert REGIMES[regime_of(bars, crisis, *averages)] == regime


def sums(deviation: float, count: int, mean: float = 0.0) -> tuple[float, float]:
    """Sum and sum of squares of so many returns with this spread about their mean."""
    return count * mean, count * mean * mean + (count - 1) * deviation * deviation


@given(
    st.floats(0, 0.1),
    st.floats(-0.05, 0.05),
    st.floats(-0.05, 0.05),
    st.sampled_from((0.0, 0.5, 1.0, 1.5, 3.0)),
    st.integers(-40, 40),
)
def test_a_crisis_is_what_the_two_spreads_say_however_near_they_are(
    spread_50: float, mean_20: float, mean_50: float, ratio: float, ulps: int
) -> None:
    """The short way by variances decides only what the roots would decide likewise."""
    total_20, squares_20 = sums(ratio * spread_50, 20, mean_20)
    squares_20 += ulps * math.ulp(squares_20)
    total_50, squares_50 = sums(spread_50, 50, mean_50)
    expected = spread(total_20, squares_20, 20) > RULES.crisis_ratio * spread(total_50, squares_50, 50)
    assert in_crisis(total_20, squares_20, total_50, squares_50, RULES) == expected


@pytest.mark.parametrize(
    ("regime", "close", "atr", "averages", "view"),
    [
        ("BULL", 100, 3.01, (103, 102, 101), "VOLATILE"),
        ("BULL", 100, 3.0, (99, 98, 97), "TRENDING"),
        ("CRISIS", 112, 1.0, (110, 105, 100), "TRENDING"),
        ("CRISIS", 110, 1.0, (110, 105, 100), "VOLATILE"),
        ("CRISIS", 88, 1.0, (90, 95, 100), "TRENDING"),
        ("CHOP", 112, 1.0, (110, 111, 100), "CONSOLIDATION"),
        ("BEAR", 99, 1.0, (98, 99, 100), "TRENDING"),
        ("UNKNOWN", 100, 50.0, (103, 102, 101), "UNKNOWN"),
    ],
)
def test_view(regime: str, close: float, atr: float, averages: tuple[float, float, float], view: str) -> None:
    assert VIEWS[view_of(REGIMES.index(regime), close, atr, *averages, RULES)] == view


@pytest.mark.parametrize(
    ("regime", "multiplier"),
    [("BULL", 1.05), ("BEAR", 0.95), ("CHOP", 0.90), ("CRISIS", 0.85), ("UNKNOWN", 1.0)],
)
def test_multiplier(regime: str, multiplier: float) -> None:
    assert multiplier_of(REGIMES.index(regime), RULES) == multiplier
