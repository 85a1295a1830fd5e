"""The highest high and the lowest low of the newest 40 bars, kept bar by bar, against a plain search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.consensus.engine.indicators import absorb_extremes
from heliograph.consensus.engine.layout import EXTREMES, Floats
from heliograph.consensus.engine.state import blank
from heliograph.consensus.engine.swing import extremes_of

law = settings(max_examples=60, deadline=None)


def searched(bars: Floats) -> tuple[int, float, float]:
    """Side, high and low of the newest bars; of equal ones the latest counts."""
    newest = bars[-EXTREMES:]
    high_at = len(newest) - 1 - int(np.argmax(newest[::-1, 0]))
    low_at = len(newest) - 1 - int(np.argmin(newest[::-1, 1]))
    return int(np.sign(high_at - low_at)), float(newest[high_at, 0]), float(newest[low_at, 1])


def check(bars: Floats) -> None:
    """After each bar the same is known as a search finds."""
    symbol = blank(1).view(np.recarray)[0]
    for number, (high, low) in enumerate(bars):
        absorb_extremes(symbol, number, high, low)
        symbol.bars = number + 1
        assert extremes_of(symbol) == searched(bars[: number + 1])


@law
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=130))
def test_it_is_what_a_search_finds_where_many_are_equal(levels: list[tuple[int, int]]) -> None:
    check(np.array([(max(pair), min(pair)) for pair in levels], float))


@pytest.mark.parametrize("drift", [-0.01, 0.0, 0.01])
def test_it_is_what_a_search_finds_on_walks(drift: float) -> None:
    close = np.exp(np.cumsum(np.random.default_rng(4).normal(drift, 0.02, 400)))
    check(np.stack([close * 1.01, close * 0.99], axis=1))
