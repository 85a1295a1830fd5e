"""Days back into ClickHouse, and days out of it: nothing goes before its object has been proved again."""

import msgspec
import structlog

from heliograph.archiver.archive import days
from heliograph.archiver.archive.parquet import ROW_GROUP, Manifest
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

    async def restore(self, table: Table, manifest: Manifest) -> Manifest:
        """Insert a day's rows; those that are there replace themselves. Its manifest as it is afterwards.

        Raises:
            InputError: the object is not what its manifest says, or of another schema.
            UnavailableError: a store is away, or the rows are not all in the table afterwards.
        """
        rows = await self._shelves.in_thread(self._shelves.store.read, table, manifest)
        for start in range(0, rows.num_rows, ROW_GROUP):
            await self._db.insert(table.name, rows.slice(start, ROW_GROUP))
        [day] = await days.contents(self._db, table, [manifest.day])
        if day.rows < manifest.rows:
            raise UnavailableError(
                f"restore: {table.name} {manifest.day}: {day.rows} rows, expected {manifest.rows} or more"
            )
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
