"""Parts of time do not overlap, and training never knows what tests it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.errors import InputError
from heliograph.lab.bars import DAY_NS
from heliograph.lab.timeline import purged_folds, split, windows


def test_sixty_twenty_twenty_by_bars() -> None:
    days = np.arange(100, 110)
    parts = split(days, np.full(10, 7))
    assert (parts.train.start, parts.train.end) == (100 * DAY_NS, 106 * DAY_NS)
    assert (parts.validation.start, parts.validation.end) == (106 * DAY_NS, 108 * DAY_NS)
    assert parts.test.start == 108 * DAY_NS
    heavy = split(days, np.array([1, 1, 1, 1, 1, 1, 60, 20, 10, 10]))
    assert heavy.validation.start == 107 * DAY_NS


def test_too_few_days_are_refused() -> None:
    with pytest.raises(InputError, match="2 days with bars, too few for train, validation and test"):
        split(np.array([1, 2]), np.array([5, 5]))
    with pytest.raises(InputError, match="30 days with bars, expected at least 336 for one window"):
        windows(np.arange(30), 252, 63, 21)
    with pytest.raises(InputError, match="test: 0, expected 1 or more days"):
        windows(np.arange(30), 5, 5, 0)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(0, 60), st.integers(0, 99))
def test_test_parts_follow_each_other_and_never_overlap(
    train: int, validation: int, test: int, more: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    days = np.cumsum(random.integers(1, 4, train + validation + test + more))
    found = windows(days, train, validation, test)
    for window in found:
        for part, length in ((window.train, train), (window.validation, validation), (window.test, test)):
            inside = (days * DAY_NS >= part.start) & (days * DAY_NS < part.end)
            assert int(inside.sum()) == length
        assert window.train.end == window.validation.start
        assert window.validation.end == window.test.start
    for one, other in pairwise(found):
        assert one.test.end == other.test.start
    assert len(found) == 1 + more // test


@given(st.integers(0, 10**6), st.integers(20, 300), st.integers(2, 6), st.floats(0, 0.05))
def test_folds_are_purged_and_embargoed(seed: int, count: int, folds: int, embargo: float) -> None:
    random = np.random.default_rng(seed)
    opened = random.integers(0, 10**6, count)
    closed = opened + random.integers(1, 10**5, count)
    pause = int(embargo * (closed.max() - opened.min()))
    tested: list[int] = []
    for train, test in purged_folds(opened, closed, folds, embargo):
        start, end = opened[test].min(), closed[test].max()
        assert not set(train.tolist()) & set(test.tolist())
        for row in train:
            assert closed[row] < start or opened[row] > end + pause
        tested += test.tolist()
    assert sorted(tested) == list(range(count))
