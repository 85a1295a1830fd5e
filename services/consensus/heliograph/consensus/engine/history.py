"""What a compiled plug-in may look back at: bars of a symbol by their age, the newest having age 0."""

import math

from heliograph.consensus.engine.compilation import compiled
from heliograph.consensus.engine.layout import CLOSES, EXTREMES, VOLUMES, Symbol


@compiled
def close_at(symbol: Symbol, age: int) -> float:
    """The close so many bars ago; NaN before the first bar and beyond the 201 that are held."""
    if not 0 <= age < min(symbol.bars, CLOSES):
        return math.nan
    found: float = symbol.closes[(symbol.bars - 1 - age) % CLOSES]
    return found


@compiled
def high_at(symbol: Symbol, age: int) -> float:
    """As `close_at`, of highs; 40 are held."""
    if not 0 <= age < min(symbol.bars, EXTREMES):
        return math.nan
    found: float = symbol.reaches[(symbol.bars - 1 - age) % EXTREMES, 0]
    return found


@compiled
def low_at(symbol: Symbol, age: int) -> float:
    """As `close_at`, of lows; 40 are held."""
    if not 0 <= age < min(symbol.bars, EXTREMES):
        return math.nan
    found: float = symbol.reaches[(symbol.bars - 1 - age) % EXTREMES, 1]
    return found


@compiled
def volume_at(symbol: Symbol, age: int) -> float:
    """As `close_at`, of volumes; 21 are held."""
    if not 0 <= age < min(symbol.bars, VOLUMES):
        return math.nan
    found: float = symbol.volumes[(symbol.bars - 1 - age) % VOLUMES]
    return found


@compiled
def average_close(symbol: Symbol, count: int) -> float:
    """The mean of so many newest closes, summed from the newest on; NaN with fewer bars or beyond 201.

    Those of 20, 50 and 200 closes are kept by the kernel: `close_sum_20` and the like cost nothing.
    """
    if not 1 <= count <= min(symbol.bars, CLOSES):
        return math.nan
    total = 0.0
    for age in range(count):
        total += symbol.closes[(symbol.bars - 1 - age) % CLOSES]
    return total / count
