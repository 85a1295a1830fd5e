"""The archive: each event day of each table as one verified Parquet object with a manifest."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, ParamSpec, TypeVar

import msgspec
import pyarrow as pa
import structlog

from heliograph.archiver.archive import days
from heliograph.archiver.archive.day_store import DayStore
from heliograph.archiver.archive.days import Day
from heliograph.archiver.archive.object_store import ObjectStore
from heliograph.archiver.archive.parquet import DayWriter, Manifest, manifest_key, schema_name
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.schema import EVENT_TABLES, Table
from heliograph.common import metrics

NEVER = "9999-12-31"
LIST_ABOVE = 8
"""Days above which one list of what the store has costs less than a look for each."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the archive holds of the days in ClickHouse; `written` is what this run added or replaced."""

    objects: int
    rows: int
    bytes: int
    days: int
    written: int


class _Shelf:
    """What is known of one table's days."""

    def __init__(self) -> None:
        self.since = 0
        self.changed: set[str] = set()
        self.looked: set[str] = set()
        self.manifests: dict[str, Manifest] = {}


class Archive:
    """Archives days as they change. One run at a time; one that fails goes on where it stopped."""

    def __init__(self, db: ClickHouse, objects: ObjectStore) -> None:
        self._db = db
        self._store = DayStore(objects)
        self._parallel = objects.parallel
        self._threads = ThreadPoolExecutor(objects.parallel, "archive")
        self._running = asyncio.Lock()
        self._shelves = {table.name: _Shelf() for table in EVENT_TABLES}
        self._tidy = False

    async def run(self, *, complete_only: bool) -> Summary:
        """Archive every day that has changed since it was archived.

        Args:
            complete_only: leave the day of the newest bar, and any after it, to a later run.

        Raises:
            UnavailableError: a store is away, or an object did not come back as it was written.
        """
        async with self._running:
            end = await days.newest_date(self._db) if complete_only else NEVER
            written = sum([await self._table(table, end) for table in EVENT_TABLES])
            if not self._tidy:
                for table in EVENT_TABLES:
                    orphans = await self._in_thread(
                        self._store.remove_orphans, table, self._shelves[table.name].manifests
                    )
                    if orphans:
                        await log.awarning("orphans removed", table=table.name, keys=orphans)
                self._tidy = True
            return self._summary(written)

    async def verify(self) -> dict[str, str]:
        """Read every object again; key → what is wrong with it, empty when all are whole.

        Raises:
            UnavailableError: the store does not answer.
        """
        async with self._running:
            found: list[tuple[str, str]] = []
            for table in EVENT_TABLES:
                keys = await self._in_thread(self._store.manifest_keys, table)
                found += await asyncio.gather(*(self._in_thread(self._store.check, table, k) for k in keys))
            return {key: wrong for key, wrong in found if wrong}

    def close(self) -> None:
        """End the threads; a run under way ends with the object in hand."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _table(self, table: Table, end: str) -> int:
        """Archive a table's changed days before `end`; how many were written."""
        shelf = self._shelves[table.name]
        dates, since = await days.changed(self._db, table, shelf.since)
        shelf.changed |= dates
        shelf.since = since
        due = {date for date in shelf.changed if date < end}
        found = await days.contents(self._db, table, due)
        await self._load(table, shelf, [day.date for day in found if day.date not in shelf.looked])
        stale = [day for day in found if not current(table, shelf.manifests.get(day.date), day)]
        shelf.changed -= due - {day.date for day in stale}
        for group in days.groups(stale):
            await self._group(table, shelf, group)
            pa.default_memory_pool().release_unused()
        return len(stale)

    async def _load(self, table: Table, shelf: _Shelf, dates: list[str]) -> None:
        """Look once for the manifests that an earlier process left."""
        left = dates
        if len(dates) > LIST_ABOVE:
            keys = set(await self._in_thread(self._store.manifest_keys, table))
            left = [date for date in dates if manifest_key(table.name, date) in keys]
        found, failures = await self._all(self._store.manifest, [(table, date) for date in left])
        shelf.manifests |= {manifest.day: manifest for manifest in found if manifest is not None}
        for failure in failures:
            raise failure
        shelf.looked.update(dates)

    async def _group(self, table: Table, shelf: _Shelf, group: list[Day]) -> None:
        if len(group) == 1:
            writer = DayWriter(table, group[0].date)
            async for page in days.read_pages(self._db, table, group[0].date):
                await self._in_thread(writer.add, page)
            await self._keep(table, shelf, [(group[0], lambda: writer)])
            return
        by_date = {day.date: day for day in group}
        found = await days.read_group(self._db, table, group)
        await self._keep(
            table, shelf, [(by_date[date], partial(whole_day, table, date, rows)) for date, rows in found]
        )

    async def _keep(
        self, table: Table, shelf: _Shelf, group: Sequence[tuple[Day, Callable[[], DayWriter]]]
    ) -> None:
        """Write days, encoding each in a thread: first objects, then manifests, then old ones go."""
        manifests, failures = await self._all(
            lambda day, encode: self._store.write(table, encode(), day.fingerprint), group
        )
        await self._in_thread(self._store.flush)
        _, unpublished = await self._all(self._store.publish, [(table, manifest) for manifest in manifests])
        await self._in_thread(self._store.flush)
        for failure in unpublished:
            raise failure
        old = [(shelf.manifests[m.day], m) for m in manifests if m.day in shelf.manifests]
        shelf.manifests |= {manifest.day: manifest for manifest in manifests}
        shelf.changed -= {manifest.day for manifest in manifests}
        metrics.ARCHIVED_OBJECTS.labels(table.name).inc(len(manifests))
        _, left = await self._all(self._store.replace, old)
        for failure in failures + left:
            raise failure

    async def _all(
        self, work: Callable[..., R], arguments: Sequence[tuple[Any, ...]]
    ) -> tuple[list[R], list[Exception]]:
        """Do some work in the threads; what was done and what failed, when all has ended."""
        # A share for each thread and not a turn for each object: most objects take less than a turn does.
        shares = [arguments[first :: self._parallel] for first in range(self._parallel)]
        ends = await asyncio.gather(*(self._in_thread(_each, work, share) for share in shares if share))
        return [done for end in ends for done in end[0]], [failure for end in ends for failure in end[1]]

    def _summary(self, written: int) -> Summary:
        manifests = [m for shelf in self._shelves.values() for m in shelf.manifests.values()]
        dates = {m.day for m in manifests}
        if dates:
            newest = datetime.fromisoformat(max(dates)).replace(tzinfo=UTC)
            metrics.ARCHIVE_NEWEST_DAY.set(newest.timestamp())
        return Summary(
            objects=len(manifests),
            rows=sum(m.rows for m in manifests),
            bytes=sum(m.bytes for m in manifests),
            days=len(dates),
            written=written,
        )

    async def _in_thread(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))


def _each(work: Callable[..., R], arguments: Sequence[tuple[Any, ...]]) -> tuple[list[R], list[Exception]]:
    """Do some work on each; what was done and what failed."""
    done: list[R] = []
    failures: list[Exception] = []
    for each in arguments:
        try:
            done.append(work(*each))
        except Exception as failure:
            failures.append(failure)
    return done, failures


def whole_day(table: Table, date: str, rows: pa.Table) -> DayWriter:
    """A day that is one page."""
    writer = DayWriter(table, date)
    writer.add(rows)
    return writer


def current(table: Table, manifest: Manifest | None, day: Day) -> bool:
    """Whether a manifest says all that the database holds of a day."""
    return (
        manifest is not None
        and (manifest.rows, manifest.fingerprint) == (day.rows, day.fingerprint)
        and manifest.schema == schema_name(table)
    )
