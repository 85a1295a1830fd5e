"""How long a symbol is left alone: its tier's interval, stretched and shortened by market and price. Pure."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from heliograph.fetcher.provider import Numbers


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """The rules; times in seconds, volatility in percent (see `Recent.volatility`).

    Attributes:
        intervals: of HIGH, MEDIUM and LOW.
        off_hours: factor while the symbol's market is closed.
        volatile: (bound, factor), the highest bound first: the factor of the first bound that is exceeded.
        calm: (bound, factor): the factor under the bound.
    """

    intervals: tuple[float, float, float]
    off_hours: float
    volatile: tuple[tuple[float, float], ...]
    calm: tuple[float, float]

    def least(self) -> Numbers:
        """The shortest interval that each tier can have; shape (3,)."""
        factors = [1.0, self.calm[1], *(factor for _, factor in self.volatile)]
        return np.array(self.intervals) * min(factors) * min(1.0, self.off_hours)

    def longest(self) -> Numbers:
        """The longest one."""
        factors = [1.0, self.calm[1], *(factor for _, factor in self.volatile)]
        return np.array(self.intervals) * max(factors) * max(1.0, self.off_hours)


def intervals(pace: Pace, tier: NDArray[np.int8], volatility: Numbers, is_open: NDArray[np.bool_]) -> Numbers:
    """Seconds between two polls of each symbol; a volatility that is not known (NaN) changes nothing."""
    factor = np.where(volatility < pace.calm[0], pace.calm[1], 1.0)
    for bound, times in sorted(pace.volatile):
        factor = np.where(volatility > bound, times, factor)
    return np.array(pace.intervals)[tier] * factor * np.where(is_open, 1.0, pace.off_hours)
