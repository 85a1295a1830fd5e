"""Calibrated signals: the probability of a win in place of the raw confidence."""

import asyncio
from bisect import bisect_left, insort_right
from collections.abc import Iterable

import msgspec
import numpy as np
import structlog

from heliograph.common.calibration import PERCENT, Calibration, Floats
from heliograph.common.calibration_bucket import HISTORY, CalibrationBucket
from heliograph.common.errors import UnavailableError
from heliograph.common.events import Signal
from heliograph.consensus.engine.making import DIGITS

DECIMALS = 2
"""Of a confidence."""
CHECK_S = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Calibrator:
    """Versions of calibrations, and for each signal the newest that had seen nothing of its time. Pure."""

    def __init__(self) -> None:
        self._models: dict[str, list[Calibration]] = {}
        self._known: set[str] = set()
        self._curves: dict[tuple[str, str], tuple[Floats, Floats]] = {}

    @property
    def versions(self) -> dict[str, str]:
        """The newest version of each strategy."""
        return {strategy: models[-1].version for strategy, models in self._models.items()}

    def add(self, models: Iterable[Calibration]) -> None:
        """Take versions, in the order of their sending; of each strategy the last `HISTORY` stay."""
        for model in models:
            if model.version in self._known:
                continue
            self._known.add(model.version)
            held = self._models.setdefault(model.strategy, [])
            insort_right(held, model, key=_until)
            if len(held) > HISTORY:
                self._curves.clear()
                del held[0]

    def model(self, strategy: str, ts: int) -> Calibration | None:
        """The newest version all of whose outcomes ended before an event time."""
        held = self._models.get(strategy, [])
        place = bisect_left(held, ts, key=_until)
        return held[place - 1] if place else None

    def calibrated(self, signal: Signal) -> Signal:
        """The signal with its probability of a win; the signal itself where no version may tell.

        confidence = the curve of its symbol, else of all, at its raw confidence; two decimals.
        expected_r = p·reward/risk − (1−p) with p = confidence/100.
        """
        model = self.model(signal.strategy, signal.ts)
        if model is None:
            return signal
        raw, win = self._curve(model, signal.symbol)
        confidence = round(float(np.interp(signal.raw_confidence, raw, win)), DECIMALS)
        p = confidence / PERCENT
        reward = abs(signal.target - signal.entry) / abs(signal.entry - signal.stop)
        return msgspec.structs.replace(
            signal,
            confidence=confidence,
            expected_r=round(p * reward - (1.0 - p), DIGITS),
            calibration=model.version,
        )

    def _curve(self, model: Calibration, symbol: str) -> tuple[Floats, Floats]:
        """The breakpoints that count for a symbol, as arrays."""
        key = (model.version, symbol if symbol in model.symbols else "")
        if key not in self._curves:
            curve = model.curve(symbol)
            self._curves[key] = np.array(curve.raw), np.array(curve.win)
        return self._curves[key]


class CalibrationFollower:
    """Brings what the tracker sends to a calibrator."""

    def __init__(self, bucket: CalibrationBucket, calibrator: Calibrator) -> None:
        self._bucket = bucket
        self._calibrator = calibrator

    async def look(self) -> None:
        """Take what was sent since the last look. While the bus is away, what is known stays in use."""
        try:
            models = await self._bucket.newer()
        except UnavailableError as error:
            await log.awarning("calibrations not read", error=str(error))
            return
        self._calibrator.add(models)
        for model in models:
            await log.ainfo("calibration", strategy=model.strategy, version=model.version, until=model.until)

    async def run(self) -> None:
        """Look every second until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            await self.look()


def _until(model: Calibration) -> int:
    return model.until
