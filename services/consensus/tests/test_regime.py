"""Regimes, the enhanced view and the multiplier."""

import math

import pytest

from heliograph.consensus.engine.layout import REGIMES, VIEWS
from heliograph.consensus.engine.regime import multiplier_of, regime_of, view_of
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
    assert REGIMES[regime_of(bars, *spreads, *averages, RULES)] == regime


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
