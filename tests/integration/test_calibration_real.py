"""Calibration on the real sample, in the order of time: better than raw, and never from the future."""

import numpy as np
from benchmarks.calibration import GOAL, Walk, Weekly

from heliograph.common.events import Signal


class Watched(Walk):
    """A walk that keeps what each version had seen."""

    def __init__(self) -> None:
        super().__init__(every=500, daily=False)
        self.until: dict[str, int] = {}

    def _train(self) -> None:
        super()._train()
        if self.model is not None:
            self.until[self.model.version] = self.model.until


def test_on_the_sample_brier_and_ece_are_a_tenth_better_than_raw() -> None:
    walk = Watched()
    found: list[tuple[Signal, float]] = [
        (signal, won) for signal, won, _ in walk.run() if signal.calibration != "none"
    ]
    assert len(found) > 9_000
    assert all(walk.until[signal.calibration] < signal.ts for signal, _ in found)
    won = np.array([w for _, w in found])
    week = np.zeros(len(found), np.int64)
    once = np.ones((1, 1))
    raw = Weekly(np.array([signal.raw_confidence for signal, _ in found]), won, week)
    calibrated = Weekly(np.array([signal.confidence for signal, _ in found]), won, week)
    assert calibrated.brier(once)[0] < (1 - GOAL) * raw.brier(once)[0]
    assert calibrated.ece(once)[0] < (1 - GOAL) * raw.ece(once)[0]
