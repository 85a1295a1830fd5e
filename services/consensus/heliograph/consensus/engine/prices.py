"""The prices of a signal, at the instrument's tick."""

import math

from heliograph.consensus.engine.compilation import compiled
from heliograph.consensus.engine.layout import SWING, Symbol
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.swing import NO_ENTRY, setup_of


@compiled
def at_tick(price: float, rules: Rules) -> float:
    """The nearest price on the tick; a division by whole ticks gives the float that prints shortest."""
    tick = rules.tick if price >= 1.0 else rules.tick_under_one
    ticks_in_one = math.floor(1.0 / tick + 0.5)
    return math.floor(price * ticks_in_one + 0.5) / ticks_in_one


@compiled
def levels(side: int, close: float, atr: float, rules: Rules) -> tuple[float, float, float]:
    """Entry, stop and target at a close; `side` is +1 for BUY and −1 for SELL.

    The distances are shares of the entry, or so many ATR14s where the rules say so.
    """
    entry = at_tick(close, rules)
    risk = rules.stop_atr * atr if rules.stop_atr > 0.0 else rules.stop * entry
    reward = rules.target_atr * atr if rules.target_atr > 0.0 else rules.target * entry
    return entry, at_tick(entry - side * risk, rules), at_tick(entry + side * reward, rules)


@compiled
def tradable(side: int, entry: float, stop: float, target: float) -> bool:
    """Whether all are positive and finite, the stop on one side of the entry and the target on the other."""
    low, high = (stop, target) if side > 0 else (target, stop)
    return 0.0 < low < entry < high < math.inf


@compiled
def prices_of(symbol: Symbol, side: int, rules: Rules) -> tuple[bool, float, float, float]:
    """Whether they are those of the swing source, and entry, stop and target of a signal on a side.

    The swing source's are taken where it votes for that side and leaves room for the ticks.
    """
    if rules.swing_prices > 0.0 and symbol.direction[SWING] == side:
        _, kind, _, entry, stop, target = setup_of(symbol, rules)
        entry, stop, target = at_tick(entry, rules), at_tick(stop, rules), at_tick(target, rules)
        if kind != NO_ENTRY and tradable(side, entry, stop, target):
            return True, entry, stop, target
    entry, stop, target = levels(side, symbol.close, symbol.atr_14, rules)
    return False, entry, stop, target
