"""Days back into ClickHouse, and days out of it: nothing goes before its object has been proved again."""

from collections.abc import Sequence

import msgspec
import pyarrow as pa
import structlog

from heliograph.archiver.archive import days
from heliograph.archiver.archive.parquet import PAGE_ROWS, Manifest
from heliograph.archiver.archive.shelf import Shelves
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.schema import Table
from heliograph.common.errors import InputError, UnavailableError

SETTLED_S = 60
"""Rows that came later than this before a drop keep their day: they may not be in the archive."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored or dropped: days, and the rows in their objects."""

    days: int
    rows: int


class Restorer:
    """Moves whole days of one archive between ClickHouse and its objects."""

    def __init__(self, db: ClickHouse, shelves: Shelves) -> None:
        self._db = db
        self._shelves = shelves

    async def restore(self, table: Table, manifests: Sequence[Manifest]) -> list[Manifest]:
        """Insert the rows of days; those that are there replace themselves. Their manifests as they are then.

        Raises:
            InputError: an object is not what its manifest says, or of another schema; it is named, and no row
                of its group of days has gone in.
            UnavailableError: a store is away, or the rows are not all in the table afterwards.
        """
        back: list[Manifest] = []
        for group in days.groups(manifests):
            read, failures = await self._shelves.all(
                self._shelves.store.read, [(table, manifest) for manifest in group]
            )
            for failure in failures:
                raise failure
            rows = pa.concat_tables(read)
            for start in range(0, rows.num_rows, PAGE_ROWS):
                await self._db.insert(table.name, rows.slice(start, PAGE_ROWS))
            await self._check(table, group)
            back += [await self._restored(table, manifest) for manifest in group]
        return back

    async def _check(self, table: Table, group: Sequence[Manifest]) -> None:
        found = {day.date: day.rows for day in await days.contents(self._db, table, [m.day for m in group])}
        for manifest in group:
            if found.get(manifest.day, 0) < manifest.rows:
                raise UnavailableError(
                    f"restore: {table.name} {manifest.day}: {found.get(manifest.day, 0)} rows, "
                    f"expected {manifest.rows} or more"
                )

    async def _restored(self, table: Table, manifest: Manifest) -> Manifest:
        """The manifest of a day that is in the database again."""
        if not manifest.dropped:
            return manifest
        back = msgspec.structs.replace(manifest, dropped=False)
        await self._publish(table, back)
        return back

    async def drop(self, table: Table, manifest: Manifest) -> Manifest:
        """Delete a day's rows from ClickHouse after its object was read again and equals them.

        Raises:
            InputError: the archive does not hold what the database holds, or the rows are too new.
            UnavailableError: a store is away: the day is as before, or dropped again the next time.
        """
        name = f"{table.name} {manifest.day}"
        settled, late = await days.settled(self._db, table, manifest.day, SETTLED_S)
        if late:
            raise InputError(f"drop: {name}: {late} rows came within {SETTLED_S} s, expected none")
        for day in await days.contents(self._db, table, [manifest.day]):
            if (day.rows, day.fingerprint) != (manifest.rows, manifest.fingerprint):
                raise InputError(
                    f"drop: {name}: {day.rows} rows in ClickHouse, "
                    f"expected the {manifest.rows} of the archive"
                )
        await self._shelves.in_thread(self._shelves.store.read, table, manifest)
        gone = msgspec.structs.replace(manifest, dropped=True)
        await self._publish(table, gone)
        await days.delete(self._db, table, manifest.day, settled)
        await log.ainfo("day dropped", table=table.name, day=manifest.day, rows=manifest.rows)
        return gone

    async def _publish(self, table: Table, manifest: Manifest) -> None:
        await self._shelves.in_thread(self._shelves.store.publish, table, manifest)
        await self._shelves.in_thread(self._shelves.store.flush)
