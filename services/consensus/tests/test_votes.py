"""The votes of `trend` and `technical`, each line of their rules worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.consensus.engine.layout import ABSTAIN
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.votes import technical, trend

RULES = Rules()
NONE = math.nan


@pytest.mark.parametrize(
    ("close", "sma_20", "sma_50", "volume", "change", "direction", "points"),
    [
        (103, 102, 101, 500, 0.0, 1, 65 + 15),
        (99, 100, 101, 500, 0.0, -1, 65 + 15),
        (103, 102, 102.5, 500, 0.0, 1, 65 + 10),
        (99, 100, 99.5, 500, 0.0, -1, 65 + 10),
        (103, 102, 102, 500, 0.0, 1, 65 + 10),
        (100, 100, 90, 500, 0.0, 0, 65),
        (103, 102, 102.5, 1000, 0.0, 1, 65 + 10 + 5),
        (103, 102, 102.5, 999, 0.0, 1, 65 + 10),
        (103, 102, 102.5, 1200, 0.0, 1, 65 + 10 + 5),
        (103, 102, 102.5, 1201, 0.0, 1, 65 + 10 + 10),
        (103, 102, 102.5, 500, 0.021, 1, 65 + 10 + 10),
        (103, 102, 102.5, 500, -0.021, 1, 65 + 10 + 10),
        (103, 102, 102.5, 500, 0.02, 1, 65 + 10),
        (103, 102, 101, 1201, 0.0, 1, 65 + 15 + 10),
        (103, 102, 101, 1201, 0.03, 1, 95),
    ],
)
def test_trend(
    close: float,
    sma_20: float,
    sma_50: float,
    volume: float,
    change: float,
    direction: int,
    points: float,
) -> None:
    assert trend(close, sma_20, sma_50, volume, 1000.0, change, RULES) == (direction, points / 100)


def test_trend_without_any_volume_has_no_points_for_it() -> None:
    assert trend(103.0, 102.0, 101.0, 0.0, 0.0, 0.0, RULES) == (1, 0.80)


@pytest.mark.parametrize(
    ("close", "sma_20", "sma_50", "rsi", "macd", "direction", "points"),
    [
        # RSI leads; price on the average and MACD on its line say nothing.
        (100, 100, 100, 29, 0, 1, 65 + 20),
        (100, 100, 100, 30, 0, 1, 65 + 10),
        (100, 100, 100, 44.9, 0, 1, 65 + 10),
        (100, 100, 100, 71, 0, -1, 65 + 20),
        (100, 100, 100, 70, 0, -1, 65 + 10),
        (100, 100, 100, 60.1, 0, -1, 65 + 10),
        # Price against SMA20.
        (101, 100, 100, 44, 0, 1, 65 + 10 + 15),
        (99, 100, 100, 44, 0, 1, 65 + 10 - 10),
        (99, 100, 100, 61, 0, -1, 65 + 10 + 15),
        (101, 100, 100, 61, 0, -1, 65 + 10 - 10),
        # MACD against its signal line.
        (100, 100, 100, 44, 1, 1, 65 + 10 + 10),
        (100, 100, 100, 44, -1, 1, 65 + 10 - 5),
        (100, 100, 100, 61, -1, -1, 65 + 10 + 10),
        (100, 100, 100, 61, 1, -1, 65 + 10 - 5),
        # SMA20 against SMA50: only agreeing counts, a missing SMA50 does not.
        (100, 100, 99, 44, 0, 1, 65 + 10 + 5),
        (100, 100, 101, 44, 0, 1, 65 + 10),
        (100, 100, 101, 61, 0, -1, 65 + 10 + 5),
        (100, 100, NONE, 44, 0, 1, 65 + 10),
        # All together, over the cap; and all against.
        (101, 100, 99, 29, 1, 1, 95),
        (99, 100, 101, 44, -1, 1, 65 + 10 - 10 - 5),
        # A neutral RSI takes the side of the price, MACD or not.
        (101, 100, 101, 50, -1, 1, 65 + 8),
        (101, 100, NONE, 50, -1, 1, 65 + 8),
        (101, 100, 99, 50, -1, 1, 65 + 10),
        (99, 100, 99, 50, 1, -1, 65 + 8),
        (99, 100, 101, 50, 1, -1, 65 + 10),
        (101, 100, 101, 45, 0, 1, 65 + 8),
        (101, 100, 101, 60, 0, 1, 65 + 8),
        (100, 100, 99, 50, 1, 0, 65),
    ],
)
def test_technical(
    close: float, sma_20: float, sma_50: float, rsi: float, macd: float, direction: int, points: float
) -> None:
    found, confidence = technical(close, sma_20, sma_50, rsi, macd, 0.0, RULES)
    assert found == direction
    assert confidence == pytest.approx(points / 100)


def test_a_source_under_the_floor_abstains_and_is_not_neutral() -> None:
    rules = Rules(technical_base=49, trend_base=49)
    assert technical(100.0, 100.0, 100.0, 50.0, 0.0, 0.0, rules) == (ABSTAIN, 0.0)
    assert trend(100.0, 100.0, 100.0, 0.0, 1.0, 0.0, rules) == (ABSTAIN, 0.0)
    assert ABSTAIN not in (-1, 0, 1)


positive = st.floats(0.01, 1e6)


@given(
    positive, positive, positive, st.floats(0, 100), st.floats(-10, 10), st.floats(0, 1e9), st.floats(-1, 1)
)
def test_votes_are_mirrored_and_within_bounds(
    close: float, sma_20: float, sma_50: float, rsi: float, macd: float, volume: float, change: float
) -> None:
    for direction, confidence in (
        trend(close, sma_20, sma_50, volume, 1e6, change, RULES),
        technical(close, sma_20, sma_50, rsi, macd, 0.0, RULES),
    ):
        assert direction in (-1, 0, 1)
        assert 0.5 <= confidence <= 0.95
    direction, confidence = trend(close, sma_20, sma_50, volume, 1e6, change, RULES)
    # Twice the price with twice the averages is the same picture.
    assert trend(2 * close, 2 * sma_20, 2 * sma_50, volume, 1e6, change, RULES) == (direction, confidence)


@given(st.floats(1, 1e6), st.integers(1, 400))
def test_rounding_takes_no_side(price: float, count: int) -> None:
    mean = sum([price] * count) / count
    assert trend(price, mean, mean, 0.0, 1.0, 0.0, RULES)[0] == 0
