"""The prices of a signal, at the instrument's tick."""

import math

from heliograph.consensus.engine.compilation import compiled
from heliograph.consensus.engine.rules import Rules


@compiled
def at_tick(price: float, rules: Rules) -> float:
    """The nearest price on the tick; a division by whole ticks gives the float that prints shortest."""
    tick = rules.tick if price >= 1.0 else rules.tick_under_one
    ticks_in_one = math.floor(1.0 / tick + 0.5)
    return math.floor(price * ticks_in_one + 0.5) / ticks_in_one


@compiled
def levels(side: int, close: float, rules: Rules) -> tuple[float, float, float]:
    """Entry, stop and target of a signal at a close; `side` is +1 for BUY and −1 for SELL."""
    entry = at_tick(close, rules)
    stop = at_tick(entry * (1.0 - side * rules.stop), rules)
    target = at_tick(entry * (1.0 + side * rules.target), rules)
    return entry, stop, target


@compiled
def tradable(side: int, entry: float, stop: float, target: float) -> bool:
    """Whether all are positive and finite, the stop on one side of the entry and the target on the other."""
    low, high = (stop, target) if side > 0 else (target, stop)
    return 0.0 < low < entry < high < math.inf
