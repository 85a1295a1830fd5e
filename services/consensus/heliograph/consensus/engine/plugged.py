"""The compiled plug-ins of a shard in which nothing but them stands beside the kernel's own sources."""

from collections.abc import Sequence

import numpy as np

from heliograph.consensus.engine.layout import ABSTAIN, PROGRAM, Floats, Integers, Records
from heliograph.consensus.engine.others import check
from heliograph.consensus.engine.programs import ask_rows, programs_of
from heliograph.consensus.engine.sources import CompiledSource
from heliograph.consensus.engine.state import State


class Plugged:
    """Compiled plug-ins that vote inside the kernel.

    Attributes:
        records: of PROGRAM, shape (sources,), as the kernel takes them.
    """

    def __init__(self, sources: Sequence[CompiledSource], rule: Records) -> None:
        self._keys = tuple(source.key for source in sources)
        self._rule = rule
        self.records = programs_of(sources)

    def votes_of(
        self, state: State, row: int, weights: Floats, ts: int
    ) -> list[tuple[str, float, int, float, int]]:
        """What was weighed at a close: source, weight, direction, confidence, and when it was observed."""
        if not self._keys:
            return []
        ballots = self._ballots(state, np.array([row]))[0].tolist()
        return [
            (key, float(weight), direction, confidence, ts)
            for key, weight, (_, _, direction, confidence, _) in zip(
                self._keys, weights[: len(self._keys)], ballots, strict=True
            )
            if weight > 0 and direction != ABSTAIN
        ]

    def check(self, state: State, rows: Integers, symbols: Sequence[str]) -> None:
        """After a batch: refuse what is no vote, and tell for which symbol it was.

        Raises:
            InvariantError: a source does not do as it must.
        """
        if not self._keys or not self.records["wrong"].any():
            return
        self.records["wrong"] = 0
        for key, ballots in zip(self._keys, self._ballots(state, rows).T, strict=True):
            check(key, symbols, ballots["direction"], ballots["confidence"])

    def _ballots(self, state: State, rows: Integers) -> Records:
        """What they say of the newest bars of some symbols, of PROGRAM; shape (n, sources)."""
        ballots = np.zeros(len(rows) * len(self._keys), PROGRAM)
        ask_rows(state.symbols, rows, self.records, self._rule, ballots)
        return ballots.reshape(len(rows), len(self._keys))
