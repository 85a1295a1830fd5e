"""What is archived: listed, verified, sampled, restored into ClickHouse, dropped from it."""

import random
from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec
import pyarrow as pa

from heliograph.archiver.archive.parquet import Manifest
from heliograph.archiver.archive.restore import Moved, Restorer
from heliograph.archiver.archive.shelf import Shelves
from heliograph.archiver.schema import EVENT_TABLES, Table
from heliograph.common.errors import InputError

Chosen = tuple[Table, list[Manifest]]
ALL_DAYS = ("0001-01-01", "9999-12-31")


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification has read, and each object that is not whole: its key → what is wrong."""

    checked: int
    wrong: dict[str, str]


class Holdings:
    """The days in an object store. Every method reads the store itself, not what this process remembers."""

    def __init__(self, shelves: Shelves, restorer: Restorer) -> None:
        self._shelves = shelves
        self._restorer = restorer

    async def manifests(
        self, tables: Iterable[Table] = EVENT_TABLES, first: str = ALL_DAYS[0], last: str = ALL_DAYS[1]
    ) -> list[tuple[Table, Manifest]]:
        """The manifests of days from `first` to `last` (both included), by table and day.

        Raises:
            InputError: one cannot be read; the message names it.
            UnavailableError: the store does not answer.
        """
        found: list[tuple[Table, Manifest]] = []
        for table in tables:
            wanted = await self._keys(table, first, last)
            store = self._shelves.store
            read, failures = await self._shelves.all(store.read_manifest, [(key,) for key in wanted])
            for failure in failures:
                raise failure
            found += [(table, manifest) for manifest in sorted(read, key=lambda manifest: manifest.day)]
        return found

    async def verify(
        self, tables: Iterable[Table] = EVENT_TABLES, first: str = ALL_DAYS[0], last: str = ALL_DAYS[1]
    ) -> Verdict:
        """Read every object again and compare it with its manifest.

        Raises:
            UnavailableError: the store does not answer.
        """
        async with self._shelves.running:
            keys = [(table, key) for table in tables for key in await self._keys(table, first, last)]
            return await self._check(keys)

    async def sample(self, count: int, chance: random.Random) -> Verdict:
        """Verify some objects, chosen by chance.

        Raises:
            UnavailableError: the store does not answer.
        """
        async with self._shelves.running:
            keys = [(table, key) for table in EVENT_TABLES for key in await self._keys(table, *ALL_DAYS)]
            return await self._check(chance.sample(keys, min(count, len(keys))))

    async def verify_keys(self, objects: Sequence[str]) -> dict[str, str]:
        """Those of some objects or manifests, named by their keys, that are still not whole.

        Raises:
            UnavailableError: the store does not answer.
        """
        tables = {table.name: table for table in EVENT_TABLES}
        names = [(tables[key.partition("/")[0]], day_of(key)) for key in objects]
        found: dict[str, str] = {}
        for table, day in names:
            found |= (await self.verify([table], day, day)).wrong
        return found

    async def restore(self, tables: Iterable[Table], first: str, last: str) -> Moved:
        """Bring days back into ClickHouse, each proved before its first row goes in.

        Raises:
            InputError: there is no such day, or an object is missing, altered or of another schema: it is
                named, and the days before it are restored.
            UnavailableError: a store is away.
        """
        found = await self._chosen(tables, first, last)
        parts = [await self.restore_these(table, manifests) for table, manifests in found]
        return Moved(days=sum(part.days for part in parts), rows=sum(part.rows for part in parts))

    async def restore_these(self, table: Table, manifests: list[Manifest]) -> Moved:
        """Bring some days of a table back, as `restore` does.

        Raises:
            InputError: an object is not what its manifest says.
            UnavailableError: a store is away.
        """
        async with self._shelves.running:
            self._remember(table, await self._restorer.restore(table, manifests))
            return moved(manifests)

    async def rows(self, table: Table, day: str) -> pa.Table:
        """The rows of a day's object, proved like those that are restored.

        Raises:
            InputError: the day is not archived, or its object is not what its manifest says.
            UnavailableError: the store does not answer.
        """
        async with self._shelves.running:
            ((_, manifests),) = await self._chosen([table], day, day)
            return await self._shelves.in_thread(self._shelves.store.read, table, manifests[0])

    async def drop(self, tables: Iterable[Table], first: str, last: str) -> Moved:
        """Delete days from ClickHouse, each only after its object was read again and equals its rows.

        Raises:
            InputError: there is no such day, or the archive does not hold what the database holds.
            UnavailableError: a store is away.
        """
        async with self._shelves.running:
            found = await self._chosen(tables, first, last)
            for table, manifests in found:
                for manifest in manifests:
                    self._remember(table, [await self._restorer.drop(table, manifest)])
            return moved([manifest for _, manifests in found for manifest in manifests])

    async def _chosen(self, tables: Iterable[Table], first: str, last: str) -> list[Chosen]:
        """The manifests of days by table; at least one.

        Raises:
            InputError: there is none.
        """
        found = await self.manifests(tables, first, last)
        if not found:
            raise InputError(f"day: {first} to {last}, expected at least one archived day in it")
        return [
            (table, [manifest for _, manifest in of_table])
            for table, of_table in groupby(found, key=lambda each: each[0])
        ]

    def _remember(self, table: Table, manifests: Iterable[Manifest]) -> None:
        shelf = self._shelves.of(table.name)
        for manifest in manifests:
            shelf.manifests[manifest.day] = manifest
            shelf.looked.add(manifest.day)

    async def _keys(self, table: Table, first: str, last: str) -> list[str]:
        keys = await self._shelves.in_thread(self._shelves.store.manifest_keys, table)
        return [key for key in keys if first <= day_of(key) <= last]

    async def _check(self, keys: Sequence[tuple[Table, str]]) -> Verdict:
        found, failures = await self._shelves.all(self._shelves.store.check, keys)
        for failure in failures:
            raise failure
        return Verdict(checked=len(found), wrong={key: wrong for key, wrong in found if wrong})


def moved(manifests: Sequence[Manifest]) -> Moved:
    """What was moved, in figures."""
    return Moved(days=len(manifests), rows=sum(manifest.rows for manifest in manifests))


def day_of(key: str) -> str:
    """The day in a key, `table/date=YYYY-MM-DD/name`."""
    return key.partition("date=")[2].partition("/")[0]
