"""Prices of a signal: at the tick, on the right sides, or no signal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.consensus.engine.prices import levels, tradable
from heliograph.consensus.engine.rules import Rules

RULES = Rules()


@pytest.mark.parametrize(
    ("side", "close", "prices"),
    [
        (1, 100.0, (100.0, 97.0, 105.0)),
        (-1, 100.0, (100.0, 103.0, 95.0)),
        (1, 61.2686, (61.27, 59.43, 64.33)),
        (-1, 0.5, (0.5, 0.515, 0.475)),
        (1, 1.0, (1.0, 0.97, 1.05)),
        (1, 1.02, (1.02, 0.9894, 1.07)),
        (1, 0.12344, (0.1234, 0.1197, 0.1296)),
    ],
)
def test_levels(side: int, close: float, prices: tuple[float, float, float]) -> None:
    assert levels(side, close, 0.0, RULES) == prices
    assert tradable(side, *prices)


@pytest.mark.parametrize("close", [0.0001, 0.0005, 0.00001, 1e-12])
@pytest.mark.parametrize("side", [1, -1])
def test_prices_without_room_for_the_ticks_are_not_tradable(side: int, close: float) -> None:
    assert not tradable(side, *levels(side, close, 0.0, RULES))


def test_other_distances_and_ticks() -> None:
    rules = Rules(stop=0.01, target=0.03, tick=0.25)
    assert levels(1, 100.1, 0.0, rules) == (100.0, 99.0, 103.0)
    assert levels(-1, 100.2, 0.0, rules) == (100.25, 101.25, 97.25)


@pytest.mark.parametrize(
    ("rules", "side", "prices"),
    [
        (Rules(stop_atr=1.5), 1, (100.0, 97.0, 105.0)),
        (Rules(stop_atr=1, target_atr=3), 1, (100.0, 98.0, 106.0)),
        (Rules(stop_atr=1, target_atr=3), -1, (100.0, 102.0, 94.0)),
        (Rules(target_atr=0.5, tick=0.25), -1, (100.0, 103.0, 99.0)),
    ],
)
def test_distances_in_atrs(rules: Rules, side: int, prices: tuple[float, float, float]) -> None:
    assert levels(side, 100.0, 2.0, rules) == prices


@given(st.sampled_from([1, -1]), st.floats(0.0001, 1e9))
def test_what_is_tradable_is_at_the_tick(side: int, close: float) -> None:
    entry, stop, target = levels(side, close, 0.0, RULES)
    if tradable(side, entry, stop, target):
        assert side * (entry - stop) > 0 < side * (target - entry)
        for price in (entry, stop, target):
            assert price == round(price, 2 if price >= 1 else 4)
