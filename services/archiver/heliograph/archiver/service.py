"""The archiver: every stream into ClickHouse, every complete day into the Parquet archive."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa
import structlog

from heliograph.archiver import counting, dashboard, ended, queries
from heliograph.archiver.archive.archive import Archive, Summary
from heliograph.archiver.archive.stores import open_store
from heliograph.archiver.archive_requests import ArchiveRequests
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.closes import closes
from heliograph.archiver.processor import SOURCES, ArchiveProcessor
from heliograph.archiver.rebuild import Rebuilt, rebuild
from heliograph.archiver.requests import Request
from heliograph.archiver.self_checks import SelfChecks
from heliograph.archiver.settings import ArchiverSettings
from heliograph.archiver.span_reader import SpanReader
from heliograph.archiver.writer import GroupCommit
from heliograph.common.bus import Bus
from heliograph.common.errors import HeliographError, InvariantError
from heliograph.common.service import Context, ShardProcessor, Source

QUEUE = "archiver"
COUNTS_KEPT_S = 1.0
COUNTS_SHARE = 30
"""Counts asked for by `status` are kept for thirty times what they cost, at least a second."""
BEHIND = 2_000
"""Messages not yet inserted above which archiving waits: it would only make the backlog longer."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class ArchiverService:
    """See `heliograph.common.service.Service`."""

    name: str = "archiver"
    sources: tuple[Source, ...] = SOURCES
    sharded: bool = True

    def __init__(self) -> None:
        self._bus: Bus | None = None
        self._db: ClickHouse | None = None
        self._writer: GroupCommit | None = None
        self._archive: Archive | None = None
        self._spans: SpanReader | None = None
        self._checks: SelfChecks | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._leading = False
        self._rebuilding = asyncio.Lock()
        self._full = 1
        self._archive_problem = ""
        self._archived: Summary | None = None
        self._counts: dict[str, int] = {}
        self._counts_until = 0.0

    async def start(self, context: Context) -> None:
        """Open the store, waiting for it or for its lock, then read spans, archive, and answer requests.

        Raises:
            ConfigError: an address, a credential or a folder is wrong.
        """
        settings = context.settings
        if not isinstance(settings, ArchiverSettings):
            raise InvariantError(f"settings: {type(settings).__name__}, expected ArchiverSettings")
        self._full = settings.batch_messages
        # It gives back what is free; the default pool keeps some 100 MB.
        pa.set_memory_pool(pa.system_memory_pool())
        objects = open_store(settings.archive_url, settings.s3_endpoint_url, settings.archive_lock_days)
        self._bus = context.bus
        self._db = ClickHouse(settings.clickhouse_url, settings.tier, settings.replication)
        await self._db.open()
        self._writer = GroupCommit(self._db.insert, rows=settings.insert_rows, seconds=settings.insert_s)
        self._archive = Archive(self._db, objects, settings.archive_format)
        self._checks = SelfChecks(self._archive.holdings, settings.archive_sample_objects, context.clock)
        self._checks.measure(lambda: self._leading)
        self._spans = SpanReader(context.bus, self._writer)
        answers = self._answers(self._db) | ArchiveRequests(self._archive, objects).answers()
        for subject, answer in answers.items():
            await context.bus.respond(f"query.archiver.{subject}", _json(answer), queue=QUEUE)
        self._tasks = [
            asyncio.create_task(self._spans.run(), name="spans"),
            asyncio.create_task(self._keep_archiving(settings.archive_period_s), name="archive"),
            asyncio.create_task(self._checks.run(settings.archive_sample_s), name="sample"),
            asyncio.create_task(_keep_sums(self._db, settings.archive_period_s), name="sums"),
        ]

    def processor(self, shard: int) -> ShardProcessor:
        """A processor; whoever holds shard 0 archives, so that replicas do not do it twice."""
        if self._writer is None:
            raise InvariantError("processor: asked for before the start")
        return ArchiveProcessor(self._writer, self._lead if shard == 0 else _ignore, self._full)

    async def problems(self) -> dict[str, str]:
        """What keeps the database, the reading of spans or the archive from working."""
        if self._db is None:
            return {"clickhouse": "not yet opened"}
        found = {
            "clickhouse": await self._db.check(),
            "spans": self._spans.problem if self._spans else "",
            "archive": self._archive_problem,
        }
        if self._checks:
            found |= self._checks.problems(leading=self._leading)
        for task in self._tasks:
            if task.done():
                found[task.get_name()] = f"ended: {_why(task)}"
        return {name: problem for name, problem in found.items() if problem}

    async def status(self) -> dict[str, Any]:
        """The engine, counts (kept for a second), and what the last run of the archive left."""
        if self._db is None:
            return {}
        if time.monotonic() >= self._counts_until:
            started = time.monotonic()
            with contextlib.suppress(HeliographError):
                self._counts = await counting.counts(self._db)
            took = time.monotonic() - started
            self._counts_until = time.monotonic() + max(COUNTS_KEPT_S, COUNTS_SHARE * took)
        return {
            "store": "chdb" if self._db.embedded else "clickhouse",
            "clickhouse": self._db.version,
            "counts": self._counts,
            "archive": msgspec.to_builtins(self._archived),
            "archive_age_s": round(self._checks.age_s) if self._checks else None,
            "archive_checked": self._checks.checked if self._checks else 0,
            "spans_refused": self._spans.refused if self._spans else 0,
        }

    async def stop(self) -> None:
        """Insert what waits, and close."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._archive:
            self._archive.close()
        if self._writer:
            await self._writer.close()
        if self._db:
            await self._db.close()

    def _lead(self, *, held: bool) -> None:
        self._leading = held

    def _answers(self, db: ClickHouse) -> dict[str, Callable[[Request], Awaitable[Any]]]:
        return {
            "counts": lambda _: counting.counts(db),
            "trace": lambda request: queries.trace(db, request),
            "bars": lambda request: queries.bars(db, request),
            "closes": lambda request: closes(db, request),
            "edges": lambda _: queries.edges(db),
            **{name: partial(dashboard.ask, db, name) for name in dashboard.QUESTIONS},
            "versions": lambda _: queries.versions(db),
            "rebuild": self._rebuild,
            "archive": lambda request: self._archive_now(complete_only=request.flag("complete_only")),
        }

    async def _archive_now(self, *, complete_only: bool) -> Summary:
        if self._archive is None:
            raise InvariantError("archive: asked for before the start")
        self._archived = await self._archive.run(complete_only=complete_only)
        self._archive_problem = ""
        if self._checks:
            self._checks.ran()
        return self._archived

    async def _rebuild(self, request: Request) -> Rebuilt:
        if self._archive is None or self._bus is None or self._db is None:
            raise InvariantError("rebuild: asked for before the start")
        async with self._rebuilding:
            return await rebuild(self._bus, self._db, self._archive, reset=request.flag("reset"))

    async def _behind(self) -> int:
        """Messages that all archivers together have not yet inserted."""
        if self._bus is None:
            raise InvariantError("archive: asked for before the start")
        lags = [await self._bus.lag(source.stream) for source in self.sources]
        return sum(lag for found in lags for name, lag in found.items() if name.startswith(f"{self.name}-"))

    async def _keep_archiving(self, period_s: float) -> None:
        """Archive each day once the newest bar is of a later one."""
        while True:
            await asyncio.sleep(period_s)
            if not self._leading:
                continue
            try:
                if await self._behind() <= BEHIND:
                    await self._archive_now(complete_only=True)
            except HeliographError as error:
                self._archive_problem = str(error)
                await log.awarning("not archived", error=str(error))


async def _keep_sums(db: ClickHouse, period_s: float) -> None:
    """Bring the sums of the usual period up to date, so that no question finds all of its days new."""
    while True:
        try:
            await ended.over(db, dashboard.DAYS_DEFAULT)
        except HeliographError as error:
            await log.awarning("sums not brought up to date", error=str(error))
        await asyncio.sleep(period_s)


def _ignore(*, held: bool) -> None:
    """A shard that decides nothing."""


def _json(answer: Callable[[Request], Awaitable[Any]]) -> Callable[[bytes], Awaitable[bytes]]:
    async def reply(data: bytes) -> bytes:
        return msgspec.json.encode(await answer(Request.parse(data)))

    return reply


def _why(task: asyncio.Task[None]) -> str:
    return "cancelled" if task.cancelled() else repr(task.exception())
