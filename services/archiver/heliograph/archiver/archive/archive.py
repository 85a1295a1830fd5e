"""The archive: each event day of each table as one verified object with a manifest."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import ParamSpec, TypeVar

import msgspec
import pyarrow as pa
import structlog

from heliograph.archiver.archive import days
from heliograph.archiver.archive.days import Day
from heliograph.archiver.archive.holdings import Holdings
from heliograph.archiver.archive.object_store import ObjectStore
from heliograph.archiver.archive.parquet import DayWriter, Format, Manifest, manifest_key, schema_name
from heliograph.archiver.archive.restore import Restorer
from heliograph.archiver.archive.shelf import Shelf, Shelves
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


class Archive:
    """Archives days as they change. One run at a time; one that fails goes on where it stopped.

    Attributes:
        holdings: what is archived: listed, verified, restored, dropped from the database.
    """

    def __init__(self, db: ClickHouse, objects: ObjectStore, form: Format = "zstd") -> None:
        self._db = db
        self._form: Format = form
        self._shelves = Shelves(objects)
        self._store = self._shelves.store
        self._restorer = Restorer(db, self._shelves)
        self._tidy = False
        self.holdings = Holdings(self._shelves, self._restorer)

    async def run(self, *, complete_only: bool) -> Summary:
        """Archive every day that has changed since it was archived.

        Args:
            complete_only: leave the day of the newest bar, and any after it, to a later run.

        Raises:
            InputError: a dropped day has changed and its object cannot be restored.
            UnavailableError: a store is away, or an object did not come back as it was written.
        """
        async with self._shelves.running:
            end = await days.newest_date(self._db) if complete_only else NEVER
            written = sum([await self._table(table, end) for table in EVENT_TABLES])
            if not self._tidy:
                for table in EVENT_TABLES:
                    orphans = await self._shelves.in_thread(
                        self._store.remove_orphans, table, self._shelves.of(table.name).manifests
                    )
                    if orphans:
                        await log.awarning("orphans removed", table=table.name, keys=orphans)
                self._tidy = True
            return self._summary(written)

    async def in_thread(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a call of the store, which blocks."""
        return await self._shelves.in_thread(work, *args, **kwargs)

    def close(self) -> None:
        """End the threads; a run under way ends with the object in hand."""
        self._shelves.close()

    async def _table(self, table: Table, end: str) -> int:
        """Archive a table's changed days before `end`; how many were written."""
        shelf = self._shelves.of(table.name)
        dates, since = await days.changed(self._db, table, shelf.since)
        shelf.changed |= dates
        shelf.since = since
        due = {date for date in shelf.changed if date < end}
        found = await days.contents(self._db, table, due)
        await self._load(table, shelf, [day.date for day in found if day.date not in shelf.looked])
        found = await self._completed(table, shelf, found)
        stale = [day for day in found if not current(table, self._form, shelf.manifests.get(day.date), day)]
        shelf.changed -= due - {day.date for day in stale}
        for group in days.groups(stale):
            await self._group(table, shelf, group)
            pa.default_memory_pool().release_unused()
        return len(stale)

    async def _completed(self, table: Table, shelf: Shelf, found: list[Day]) -> list[Day]:
        """The days, after those came back of which the archive holds more than the database does.

        A late row of a dropped day, or of a database that was lost, would otherwise replace all the others.
        """
        short = [
            manifest
            for day in found
            if (manifest := shelf.manifests.get(day.date))
            and (manifest.dropped or day.rows < manifest.rows)
            and manifest.schema == schema_name(table)
        ]
        for manifest in await self._restorer.restore(table, short):
            shelf.manifests[manifest.day] = manifest
        whole = await days.contents(self._db, table, [manifest.day for manifest in short])
        return sorted({day.date: day for day in [*found, *whole]}.values(), key=lambda day: day.date)

    async def _load(self, table: Table, shelf: Shelf, dates: list[str]) -> None:
        """Look once for the manifests that an earlier process left."""
        left = dates
        if len(dates) > LIST_ABOVE:
            keys = set(await self._shelves.in_thread(self._store.manifest_keys, table))
            left = [date for date in dates if manifest_key(table.name, date) in keys]
        found, failures = await self._shelves.all(
            lambda date: (date, self._store.manifest(table, date)), [(date,) for date in left]
        )
        shelf.manifests |= {date: manifest for date, manifest in found if manifest is not None}
        shelf.looked.update({*dates} - {*left}, (date for date, _ in found))
        for failure in failures:
            raise failure

    async def _group(self, table: Table, shelf: Shelf, group: list[Day]) -> None:
        if len(group) == 1:
            writer = DayWriter(table, group[0].date, self._form)
            async for page in days.read_pages(self._db, table, group[0].date):
                await self._shelves.in_thread(writer.add, page)
            await self._keep(table, shelf, [(group[0], lambda: writer)])
            return
        by_date = {day.date: day for day in group}
        found = await days.read_group(self._db, table, group)
        await self._keep(
            table,
            shelf,
            [(by_date[date], partial(whole_day, table, date, rows, self._form)) for date, rows in found],
        )

    async def _keep(
        self, table: Table, shelf: Shelf, group: Sequence[tuple[Day, Callable[[], DayWriter]]]
    ) -> None:
        """Write days, encoding each in a thread: first objects, then manifests, then old ones go."""
        manifests, failures = await self._shelves.all(
            lambda day, encode: self._store.write(table, encode(), day.fingerprint), group
        )
        await self._shelves.in_thread(self._store.flush)
        published, unpublished = await self._shelves.all(
            self._store.publish, [(table, manifest) for manifest in manifests]
        )
        await self._shelves.in_thread(self._store.flush)
        old = [(shelf.manifests[m.day], m) for m in published if m.day in shelf.manifests]
        shelf.manifests |= {manifest.day: manifest for manifest in published}
        shelf.changed -= {manifest.day for manifest in published}
        metrics.ARCHIVED_OBJECTS.labels(table.name).inc(len(published))
        _, left = await self._shelves.all(self._store.replace, old)
        # Only now: what went well is done, so that a store that half works gets ahead with each run.
        for failure in failures + unpublished + left:
            raise failure

    def _summary(self, written: int) -> Summary:
        manifests = self._shelves.manifests()
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


def whole_day(table: Table, date: str, rows: pa.Table, form: Format) -> DayWriter:
    """A day that is one page."""
    writer = DayWriter(table, date, form)
    writer.add(rows)
    return writer


def current(table: Table, form: Format, manifest: Manifest | None, day: Day) -> bool:
    """Whether a manifest says all that the database holds of a day, in the format that is wanted."""
    return (
        manifest is not None
        and (manifest.rows, manifest.fingerprint) == (day.rows, day.fingerprint)
        and (manifest.schema, manifest.format) == (schema_name(table), form)
    )
