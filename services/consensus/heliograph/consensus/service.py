"""The consensus service: bars of INPUT in, signals of SIGNAL out."""

import asyncio
import contextlib
import weakref
from collections import Counter
from typing import Any

import structlog

from heliograph.common.calibration_bucket import CalibrationBucket
from heliograph.common.checkpoint import Checkpoints
from heliograph.common.errors import InvariantError
from heliograph.common.events import BarBatch, Tick, VoteBatch
from heliograph.common.service import Context, Source
from heliograph.consensus.calibration import CalibrationFollower, Calibrator
from heliograph.consensus.case_sender import CaseSender
from heliograph.consensus.engine import warm
from heliograph.consensus.engine.sources import PATTERN
from heliograph.consensus.keeper import CheckpointKeeper
from heliograph.consensus.processor import GATES, MADE, TAKEN, ConsensusProcessor
from heliograph.consensus.settings import ConsensusSettings

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class ConsensusService:
    """Decides, shard by shard."""

    name = "consensus"
    sources: tuple[Source, ...] = (
        # One consumer for all three, since the order of the world is the sequence of the stream.
        Source(
            name="bars",
            stream="INPUT",
            subject="input.*.{shard}",
            event=BarBatch | VoteBatch | Tick,
            announced=True,
        ),
    )
    sharded = True

    def __init__(self) -> None:
        self._context: Context | None = None
        self._checkpoints: Checkpoints | None = None
        self._calibrator = Calibrator()
        self._beside: list[asyncio.Task[None]] = []
        self._processors: weakref.WeakValueDictionary[int, ConsensusProcessor] = weakref.WeakValueDictionary()

    async def start(self, context: Context) -> None:
        """Load the kernel, compiling it when it is not on disk yet, and the calibrations."""
        for warning in self._settings(context).table().warnings():
            await log.awarning(warning)
        await asyncio.to_thread(warm)
        settings = self._settings(context)
        if settings.chosen.others:
            await asyncio.to_thread(warm, settings.chosen.others, settings.hours())
        self._checkpoints = Checkpoints(context.bus, self.name)
        follower = CalibrationFollower(CalibrationBucket(context.bus), self._calibrator)
        await follower.look()
        self._context = context
        beside = [follower.run(), CheckpointKeeper(self._processors).run()]
        if PATTERN in settings.chosen.others:
            beside.append(CaseSender(context.bus, self._processors).run())
        self._beside = [asyncio.create_task(work) for work in beside]

    @staticmethod
    def _settings(context: Context) -> ConsensusSettings:
        if not isinstance(context.settings, ConsensusSettings):
            raise InvariantError(f"settings: {type(context.settings).__name__}, expected ConsensusSettings")
        return context.settings

    def processor(self, shard: int) -> ConsensusProcessor:
        """A new processor for a shard."""
        if self._context is None or self._checkpoints is None:
            raise InvariantError("processor: asked for before the start")
        made = ConsensusProcessor(
            shard,
            self._context.bus,
            self._context.clock,
            self._settings(self._context),
            self._checkpoints,
            self._calibrator,
        )
        self._processors[shard] = made
        return made

    async def problems(self) -> dict[str, str]:
        """It needs no store but the bus."""
        for task in self._beside:
            if task.done() and not task.cancelled():
                task.result()
        return {}

    async def status(self) -> dict[str, Any]:
        """Figures of the shards held here, each counted since the shard began."""
        engines = [p.engine for p in self._processors.values()]
        counts = sum((Counter(engine.counts) for engine in engines), Counter())
        return {
            "bars": counts[TAKEN],
            "signals": counts[MADE],
            "gated": {reason: counts[reason] for reason in GATES},
            "symbols": sum(engine.symbols for engine in engines),
            "waiting": sum(engine.waiting for engine in engines),
            "open": sum(engine.open_signals for engine in engines),
            "shards": sorted(self._processors),
            "calibrations": self._calibrator.versions,
        }

    async def stop(self) -> None:
        """End the work beside the batches; each shard has kept its last checkpoint when it was closed."""
        for task in self._beside:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
