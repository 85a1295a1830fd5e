"""The cases with an outcome, in memory, and the search among them. Pure: no I/O, no clock, no randomness."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from heliograph.common.patterns import VOLATILITY
from heliograph.tracker.pattern.expectation import Expectation, expectation
from heliograph.tracker.pattern.index import NeighbourIndex, Rows
from heliograph.tracker.pattern.scaler import Scaler, Vectors

NEIGHBOURS = 50
SIMILAR = 0.7
ENOUGH = 10
"""Neighbours that a narrower choice (the symbol's own, the regime's own) must leave."""
REGIME_SHARE = 0.4

CASE = np.dtype(
    [("ended", np.int64), ("regime", np.int64), ("r", np.float64), ("bars", np.int64), ("end", np.int64)]
)


class EndedCase(NamedTuple):
    """A case with its outcome: event time of the end, R multiple, bars held, and how it ended (of `ENDS`)."""

    signal: str
    symbol: str
    regime: int
    ended: int
    r: float
    bars: int
    end: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a query.

    Attributes:
        expectation: from the neighbours that were chosen.
        scope: whether they are the symbol's own or of all symbols.
        same_regime: whether only those of the query's volatility regime were taken.
        signals: of the neighbours, the most similar first; `similarity` their cosine.
        scaler: the version of the vectors; empty where none may serve a query of its time.
    """

    expectation: Expectation
    scope: Literal["symbol", "all"] = "all"
    same_regime: bool = False
    signals: list[str] = []
    similarity: list[float] = []
    scaler: str = ""


class PatternMemory:
    """Cases of one scaler's version."""

    def __init__(self, scaler: Scaler, *, compressed: bool = False) -> None:
        self.scaler = scaler
        self._index = NeighbourIndex(compressed=compressed)
        self._cases = np.zeros(64, CASE)
        self._signals: list[str] = []
        self._known: set[str] = set()
        self._rows: dict[str, list[int]] = {}
        self._newest = 0

    def __len__(self) -> int:
        return len(self._signals)

    def __contains__(self, signal: object) -> bool:
        return signal in self._known

    def add(self, cases: Sequence[EndedCase], vectors: Vectors) -> None:
        """Add cases with their vectors, shape (n, 16); those that are known already are left out."""
        first = {case.signal: n for n, case in reversed(list(enumerate(cases)))}
        new = sorted(n for signal, n in first.items() if signal not in self._known)
        start = len(self._signals)
        while start + len(new) > self._cases.size:
            self._cases = np.concatenate([self._cases, np.zeros(self._cases.size, CASE)])
        for row, n in enumerate(new, start):
            case = cases[n]
            self._cases[row] = (case.ended, case.regime, case.r, case.bars, case.end)
            self._signals.append(case.signal)
            self._known.add(case.signal)
            self._rows.setdefault(case.symbol, []).append(row)
            self._newest = max(self._newest, case.ended)
        self._index.add(vectors[new])

    def find(self, symbol: str, ts: int, features: Sequence[float]) -> Found:
        """The expectation from cases that had ended before an event time.

        The 50 nearest with a cosine of at least 0.7: the symbol's own if there are at least 10, else of all;
        of these only those of the same volatility regime, if they are at least 10 and 40 %.
        """
        if ts <= self.scaler.until:
            return Found(expectation=Expectation())
        query = self.scaler.vectors(features)[0]
        own = self._ended_before(ts, np.array(self._rows.get(symbol, []), np.int64))
        rows, similar = self._similar(query, own)
        scope: Literal["symbol", "all"] = "symbol"
        if rows.size < ENOUGH:
            scope = "all"
            every = None if self._newest < ts else self._ended_before(ts, np.arange(len(self)))
            rows, similar = self._similar(query, every)
        same = self._cases["regime"][rows] == int(features[VOLATILITY])
        narrowed = np.count_nonzero(same) >= max(ENOUGH, REGIME_SHARE * rows.size)
        if narrowed:
            rows, similar = rows[same], similar[same]
        taken = self._cases[rows]
        return Found(
            expectation=expectation(taken["r"], taken["bars"], taken["end"]),
            scope=scope,
            same_regime=bool(narrowed),
            signals=[self._signals[row] for row in rows],
            similarity=similar.round(4).tolist(),
            scaler=self.scaler.version,
        )

    def _ended_before(self, ts: int, rows: Rows) -> Rows:
        return rows[self._cases["ended"][rows] < ts]

    def _similar(self, query: Vectors, allowed: Rows | None) -> tuple[Rows, npt.NDArray[np.float64]]:
        rows, similar = self._index.nearest(query, NEIGHBOURS, allowed)
        near = similar >= SIMILAR
        return rows[near], similar[near].astype(np.float64)
