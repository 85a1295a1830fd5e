"""The training of calibrations beside the record: when it is due, by one replica, sent when it is durable.

Every replica looks; a lock in Postgres lets one of them train and send, and a trial that was recorded leaves
nothing due for the next. What was taken is sent after its commit, and what was not sent (the process died,
the bus was away, the bucket was lost) is sent by whoever looks next.
"""

import asyncio

import structlog

from heliograph.common import metrics
from heliograph.common.bus import Bus
from heliograph.common.calibration_bucket import HISTORY, CalibrationBucket
from heliograph.common.clock import NANOSECONDS
from heliograph.tracker.calibration import store
from heliograph.tracker.calibration.store import Due
from heliograph.tracker.calibration.training import Trial, trial
from heliograph.tracker.database import Connection, Database
from heliograph.tracker.looking import Looking
from heliograph.tracker.settings import TrackerSettings

DAY_NS = 86_400 * NANOSECONDS

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Trainer:
    """A replica's part in the training."""

    def __init__(self, database: Database, bus: Bus, settings: TrackerSettings) -> None:
        self._database = database
        self._bucket = CalibrationBucket(bus)
        self._settings = settings
        self._sent: set[str] = set()
        self._fruitless: dict[str, int] = {}
        self._looking = Looking(
            "calibration", self.look, settings.calibration_check_s, metrics.CALIBRATION_FAILURES.inc
        )

    def start(self) -> None:
        """Begin to look whether a training is due, again and again; what is in use stays meanwhile."""
        self._looking.start()

    async def close(self) -> None:
        """Stop; a training under way is given up, and another replica takes it over."""
        await self._looking.close()

    async def look(self) -> list[Trial]:
        """Train what is due and send what was not sent, unless another replica is at it; the trials.

        Raises:
            UnavailableError: Postgres or NATS is away.
        """
        async with self._database.connection() as connection:
            async with connection.transaction():
                if not await store.lock(connection):
                    return []
                due = [d for d in await store.strategies(connection) if self.is_due(d)]
                trials = [found for d in due if (found := await self._train(connection, d))]
            async with connection.transaction():
                if await store.lock(connection):
                    await self._send(connection)
        return trials

    def is_due(self, due: Due) -> bool:
        """Whether enough outcomes have come since the last trial, or a day of event time and at least one.

        What led to no trial is not tried again before another outcome has come.
        """
        if self._fruitless.get(due.strategy) == due.new:
            return False
        if due.new >= self._settings.calibration_every:
            return True
        return due.new > 0 and due.tried > 0 and due.newest - due.tried >= DAY_NS

    async def _train(self, connection: Connection, due: Due) -> Trial | None:
        """One trial of a strategy, recorded; None when its outcomes are too few or were tried before."""
        length = self._settings.calibration_days * DAY_NS
        end = await store.window_end(connection, due.strategy, length)
        found = None
        if end is not None:
            outcomes = await store.outcomes(connection, due.strategy, end - length, end)
            current = await store.current(connection, due.strategy)
            found = await asyncio.to_thread(trial, outcomes, due.strategy, current)
        if found is None or not await store.keep(connection, found):
            self._fruitless[due.strategy] = due.new
            return None
        self._tell(found)
        await log.ainfo(
            "calibration tried",
            strategy=due.strategy,
            version=found.model.version,
            taken=found.taken,
            outcomes=found.model.outcomes,
            brier=round(found.candidate.brier, 4),
            brier_current=round(found.current.brier, 4),
            ece=round(found.candidate.ece, 4),
        )
        return found

    @staticmethod
    def _tell(found: Trial) -> None:
        """Bring the metrics up to date."""
        metrics.CALIBRATIONS.labels("taken" if found.taken else "refused").inc()
        in_use = found.candidate if found.taken else found.current
        for of, figures in (("raw", found.raw), ("calibrated", in_use)):
            metrics.CALIBRATION_BRIER.labels(found.model.strategy, of).set(figures.brier)
            metrics.CALIBRATION_ERROR.labels(found.model.strategy, of).set(figures.ece)

    async def _send(self, connection: Connection) -> None:
        self._sent |= {model.version for model in await self._bucket.newer()}
        for model in await store.unsent(connection, HISTORY, self._sent):
            await self._bucket.put(model)
            self._sent.add(model.version)
