"""The isotonic curve: known answers, the reference implementation, and what holds for any input."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from heliograph.common.calibration import Calibration, Curve
from heliograph.tracker.calibration.isotonic import drawn, fit

POINTS = 64
scores = st.floats(0, 100, allow_nan=False).map(lambda value: round(value, 2))
samples = st.lists(st.tuples(scores, st.booleans()), min_size=1, max_size=80)
grid = np.linspace(-10, 110, 241)


def fitted(sample: list[tuple[float, bool]], most: int = POINTS) -> Curve:
    raw, won = zip(*sample, strict=True)
    return fit(np.array(raw, np.float64), np.array(won, np.float64), most)


def test_violators_are_pooled() -> None:
    sample = [(60.0, False), (70.0, True), (80.0, False), (90.0, True)]
    curve = fitted(sample)
    assert curve == Curve(raw=[60.0, 70.0, 80.0, 90.0], win=[0.0, 50.0, 50.0, 100.0])
    assert curve.at([50, 60, 65, 75, 85, 90, 99]).tolist() == [0, 0, 25, 50, 75, 100, 100]


def test_equal_scores_count_once_with_their_mean_and_weight() -> None:
    sample = [(80.0, True), (80.0, True), (80.0, False), (90.0, False)]
    # 80 has 2/3 of three, 90 has 0 of one: a violation, pooled to 2/4.
    assert fitted(sample) == Curve(raw=[80.0, 90.0], win=[50.0, 50.0])


@pytest.mark.parametrize(("won", "win"), [(True, 100.0), (False, 0.0)])
def test_one_outcome_or_one_score_gives_a_constant(won: bool, win: float) -> None:  # noqa: FBT001 - pytest's way
    assert fitted([(77.0, won)]) == Curve(raw=[77.0], win=[win])
    assert fitted([(77.0, won)] * 5).at([0, 77, 100]).tolist() == [win] * 3


@settings(deadline=None)
@given(samples)
def test_it_is_the_reference_regression(sample: list[tuple[float, bool]]) -> None:
    raw, won = (np.array(column, np.float64) for column in zip(*sample, strict=True))
    reference = IsotonicRegression(out_of_bounds="clip").fit(raw, 100 * won)
    assert np.allclose(fit(raw, won, 10_000).at(grid), reference.predict(grid), atol=1e-4)


@settings(deadline=None)
@given(samples, st.integers(2, POINTS))
def test_it_never_falls_and_stays_a_percentage(sample: list[tuple[float, bool]], most: int) -> None:
    curve = fitted(sample, most)
    found = curve.at(grid)
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() <= 100
    assert len(curve.raw) <= most
    assert (curve.raw[0], curve.raw[-1]) == (min(sample)[0], max(sample)[0])


@settings(deadline=None)
@given(samples, samples, st.floats(0, 1))
def test_drawn_towards_the_pool_is_between_both(own: Any, pool: Any, weight: float) -> None:
    first, second = fitted(own), fitted(pool)
    found = drawn(first, second, weight, 10_000).at(grid)
    assert np.allclose(found, weight * first.at(grid) + (1 - weight) * second.at(grid), atol=1e-3)


@pytest.mark.parametrize(
    ("raw", "win", "message"),
    [
        ([], [], "raw: 0 values"),
        ([1.0, 2.0], [1.0], "raw: 2 values for 1"),
        ([2.0, 2.0], [1.0, 1.0], "strictly rising"),
        ([1.0, 2.0], [2.0, 1.0], "never fall"),
        ([1.0, 101.0], [2.0, 3.0], "raw: .* from 0 to 100"),
        ([1.0, 2.0], [0.0, float("nan")], "win: .* from 0 to 100"),
    ],
)
def test_impossible_curves_are_refused(raw: list[float], win: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Curve(raw=raw, win=win)


def test_a_symbol_without_a_curve_takes_the_pool() -> None:
    pool, own = Curve(raw=[80.0], win=[40.0]), Curve(raw=[80.0, 90.0], win=[50.0, 60.0])
    model = Calibration(
        version="a", strategy="s", since=0, until=1, outcomes=2, pool=pool, symbols={"A": own}
    )
    assert model.curve("A") is own
    assert model.curve("B") is pool
    assert model.at(["B", "A", "A"], np.array([85.0, 85.0, 95.0])).tolist() == [40.0, 55.0, 60.0]
