"""Calibrations: from the raw confidence of a signal to its probability of a win, as the tracker sends them.

A calibration travels as plain breakpoints, so that whoever applies it needs interpolation and nothing else.
Confidences and probabilities are percent, 0–100, as in `Signal`.
"""

from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PERCENT = 100.0


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A monotone function by its breakpoints, straight between them and flat outside.

    Attributes:
        raw: raw confidences, strictly rising, 0–100.
        win: the probability of a win at each, never falling, 0–100.
    """

    raw: list[float]
    win: list[float]

    def __post_init__(self) -> None:
        if not self.raw or len(self.raw) != len(self.win):
            raise ValueError(f"raw: {len(self.raw)} values for {len(self.win)} of win, expected as many, ≥ 1")
        for name in ("raw", "win"):
            values = getattr(self, name)
            if not all(0.0 <= value <= PERCENT for value in values):
                raise ValueError(f"{name}: {values}, expected values from 0 to 100")
        if not all(a < b for a, b in pairwise(self.raw)):
            raise ValueError(f"raw: {self.raw}, expected strictly rising values")
        if not all(a <= b for a, b in pairwise(self.win)):
            raise ValueError(f"win: {self.win}, expected values that never fall")

    def at(self, raw: npt.ArrayLike) -> Floats:
        """The probability of a win, percent, for raw confidences of any shape."""
        return np.interp(np.asarray(raw, np.float64), self.raw, self.win)


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the calibration of one strategy.

    Attributes:
        version: derived from the data that it saw, 16 hex digits.
        strategy: name and version of the weights whose raw confidence it understands.
        since: event time of the oldest outcome that it saw.
        until: event time of the newest outcome that it saw, those that only judged it included: it may be
            applied to signals later than this and to no others.
        outcomes: how many it saw.
        pool: over all symbols.
        symbols: for symbols with enough outcomes of their own, drawn towards the pool.
        v: version of this schema.
    """

    version: str
    strategy: str
    since: int
    until: int
    outcomes: int
    pool: Curve
    symbols: dict[str, Curve] = msgspec.field(default_factory=dict)
    v: int = 1

    def curve(self, symbol: str) -> Curve:
        """The curve that counts for a symbol."""
        return self.symbols.get(symbol, self.pool)

    def at(self, symbols: list[str], raw: Floats) -> Floats:
        """The probabilities, percent, of one raw confidence for each symbol; shape (n,)."""
        found = self.pool.at(raw)
        if self.symbols:
            names = np.asarray(symbols)
            for symbol, curve in self.symbols.items():
                own = names == symbol
                found[own] = curve.at(raw[own])
        return found
