"""Brier score, calibration error, log loss and the bins, by hand and against the reference."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from heliograph.tracker.calibration.figures import Bin, figures


def test_known_figures() -> None:
    found = figures(np.array([80.0, 80.0, 60.0, 99.0]), np.array([1.0, 0.0, 1.0, 1.0]))
    assert found is not None
    assert found.count == 4
    assert found.brier == pytest.approx((0.04 + 0.64 + 0.16 + 0.0001) / 4)
    # In 80–86.67: 80 against 50 %; in 60–66.67: 60 against 100 %; in 93.33–100: 99 against 100 %.
    assert found.ece == pytest.approx((2 * 0.3 + 0.4 + 0.01) / 4)
    assert found.log_loss == pytest.approx(-sum(map(math.log, (0.8, 0.2, 0.6, 0.99))) / 4)
    assert found.forecast == pytest.approx(79.75)
    assert found.win_rate == 75.0


def test_buckets() -> None:
    values = [0.0, 74.99, 75.0, 84.99, 85.0, 94.99, 95.0, 100.0]
    found = figures(np.array(values), np.array([0.0, 1.0] * 4))
    assert found is not None
    assert [(b.low, b.high, b.count, b.win_rate) for b in found.buckets] == [
        (0.0, 75.0, 2, 50.0),
        (75.0, 85.0, 2, 50.0),
        (85.0, 95.0, 2, 50.0),
        (95.0, 100.0, 2, 50.0),
    ]
    assert len(found.bins) == 15
    assert found.bins[1] == Bin(low=100 / 15, high=200 / 15, count=0, forecast=None, win_rate=None)


def test_a_sure_forecast_that_fails_costs_much_but_not_infinitely() -> None:
    found = figures(np.array([100.0]), np.array([0.0]))
    assert found is not None
    assert found.log_loss == pytest.approx(-math.log(5e-5))


def test_nothing_has_no_figures() -> None:
    assert figures(np.array([]), np.array([])) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(1, 99), st.booleans()), min_size=1, max_size=50))
def test_they_are_those_of_the_reference(sample: list[tuple[float, bool]]) -> None:
    forecast, won = (np.array(column, np.float64) for column in zip(*sample, strict=True))
    found = figures(forecast, won)
    assert found is not None
    assert found.brier == pytest.approx(brier_score_loss(won, forecast / 100, pos_label=1.0))
    assert found.log_loss == pytest.approx(log_loss(won, forecast / 100, labels=[0.0, 1.0]))
    assert sum(b.count for b in found.bins) == sum(b.count for b in found.buckets) == len(sample)
    assert 0 <= found.ece <= 1
