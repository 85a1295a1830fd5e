"""The tracker as a service: its stores, its requests, its shards."""

from typing import Any

from heliograph.common.answering import answering
from heliograph.common.bus import Bus
from heliograph.common.errors import InvariantError, UnavailableError
from heliograph.common.events import BarBatch, Reason, Signal
from heliograph.common.service import Context, Source
from heliograph.common.standing import SUBJECT as OPEN
from heliograph.common.standing import OpenAnswer
from heliograph.tracker.calibration.answers import CalibrationAnswers
from heliograph.tracker.calibration.trainer import Trainer
from heliograph.tracker.database import Database
from heliograph.tracker.integrity import Integrity
from heliograph.tracker.pattern.patterns import Patterns
from heliograph.tracker.predictions import Predictions
from heliograph.tracker.processor import INPUT, TrackerProcessor
from heliograph.tracker.queries import OpenQuery, Queries
from heliograph.tracker.reliability.answers import SourceAnswers
from heliograph.tracker.restoring import Restoring
from heliograph.tracker.settings import TrackerSettings
from heliograph.tracker.views import answers as views
from heliograph.tracker.writer import Writer

REST_S = 0.1
"""The signals that come of the same bars are recorded first: a reason or an outcome is less urgent."""


class TrackerService:
    """Keeps the record of signals in Postgres and follows each one to its outcome."""

    name = "tracker"
    sharded = True
    sources: tuple[Source, ...] = (
        Source(name="signals", stream="SIGNAL", subject="signal.{shard}.>", event=Signal),
        Source(name="reasons", stream="REASON", subject="reason.{shard}.>", event=Reason, rest_s=REST_S),
        Source(
            name="bars",
            stream=INPUT,
            subject="input.bars.{shard}",
            event=BarBatch,
            rest_s=REST_S,
            after="consensus",
        ),
    )

    def __init__(self) -> None:
        self._parts: tuple[Context, TrackerSettings, Database, Writer] | None = None
        self._reader: Database | None = None
        self._processors: dict[int, TrackerProcessor] = {}
        self._integrity: Integrity | None = None
        self._trainer: Trainer | None = None
        self._patterns: Patterns | None = None
        self._predictions: Predictions | None = None

    async def start(self, context: Context) -> None:
        """Wait for Postgres, bring its schema up to date, answer requests.

        Raises:
            InvariantError: the settings are not the tracker's.
        """
        settings = context.settings
        if not isinstance(settings, TrackerSettings):
            raise InvariantError(f"settings: {type(settings).__name__}, expected TrackerSettings")
        database = Database(
            settings.postgres_url,
            owner_url=settings.postgres_owner_url,
            size=settings.postgres_pool,
            overflow=settings.postgres_overflow,
        )
        await database.open()
        reader = database
        if settings.postgres_read_url:
            reader = Database(
                settings.postgres_read_url,
                size=settings.postgres_pool,
                overflow=settings.postgres_overflow,
            )
            await reader.open_for_questions()
        self._reader = reader
        writer = Writer(database, settings.write_rows)
        await writer.prepare(context.clock.now_ns())
        writer.start()
        await Queries(database, reader).register(context.bus)
        await views.register(context.bus, database, reader)
        await context.bus.respond(OPEN, answering(OpenQuery, self._open))
        restoring = Restoring(database, writer, shards=settings.shards, member=context.member)
        await restoring.register(context.bus)
        self._predictions = Predictions(database, context.bus)
        await self._predictions.start()
        await CalibrationAnswers(reader, settings.calibration_days).register(context.bus)
        await SourceAnswers(reader).register(context.bus)
        self._trainer = Trainer(database, context.bus, settings)
        self._trainer.start()
        self._patterns = Patterns(
            database, check_s=settings.pattern_check_s, compressed=settings.pattern_compressed
        )
        await self._patterns.register(context.bus)
        self._patterns.start()
        self._integrity = Integrity(database, settings, context.clock)
        self._integrity.start()
        self._parts = context, settings, database, writer

    def processor(self, shard: int) -> TrackerProcessor:
        """A new processor for a shard."""
        context, settings, database, writer = self._started()
        bus: Bus = context.bus
        processor = TrackerProcessor(
            shard, bus=bus, database=database, writer=writer, settings=settings, member=context.member
        )
        self._processors[shard] = processor
        return processor

    async def problems(self) -> dict[str, str]:
        """Whether Postgres answers, and the replica for questions where there is one."""
        if self._parts is None or self._reader is None:
            return {"postgres": "not yet connected"}
        _, _, database, _ = self._parts
        found = {}
        for name, server in {"postgres": database, "postgres for questions": self._reader}.items():
            try:
                await server.ping()
            except UnavailableError as error:
                found[name] = str(error)
            if self._reader is database:
                break
        return found

    async def status(self) -> dict[str, Any]:
        """Open signals and positions by shard; figures of the writer and of the pool."""
        _, _, database, writer = self._started()
        shards = {
            str(shard): {"open": p.open_signals, "position": p.position}
            for shard, p in self._processors.items()
        }
        return {
            "postgres": database.version,
            "open": sum(p.open_signals for p in self._processors.values()),
            "shards": shards,
            "rows": writer.rows,
            "transactions": writer.transactions,
            "pool": database.stats(),
            "pattern_cases": self._patterns.cases if self._patterns else 0,
            "integrity": self._integrity.status() if self._integrity else {},
        }

    async def _open(self, query: OpenQuery) -> OpenAnswer:
        told = {shard: p.standing(query.symbol, query.limit) for shard, p in self._processors.items()}
        return OpenAnswer(shards={shard: each for shard, each in told.items() if each is not None})

    async def stop(self) -> None:
        """Stop reading, the training and the checks, and close the database."""
        if self._predictions is not None:
            await self._predictions.close()
        if self._trainer is not None:
            await self._trainer.close()
        if self._patterns is not None:
            await self._patterns.close()
        if self._integrity is not None:
            await self._integrity.close()
        if self._parts is not None:
            _, _, database, writer = self._parts
            await writer.close()
            await database.close()
            if self._reader is not None and self._reader is not database:
                await self._reader.close()

    def _started(self) -> tuple[Context, TrackerSettings, Database, Writer]:
        if self._parts is None:
            raise InvariantError("the tracker is used before it was started")
        return self._parts
