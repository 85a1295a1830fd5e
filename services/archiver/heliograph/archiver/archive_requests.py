"""What others may ask of the archive: run, verify, list, restore, drop, cost, lifecycle."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import msgspec

from heliograph.archiver.archive.archive import Archive
from heliograph.archiver.archive.cost import Cost, Size, cost
from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.archive.holdings import ALL_DAYS, Verdict
from heliograph.archiver.archive.lifecycle import Plan
from heliograph.archiver.archive.object_store import ObjectStore
from heliograph.archiver.archive.parquet import Manifest
from heliograph.archiver.archive.restore import Moved
from heliograph.archiver.requests import Request
from heliograph.archiver.rows import RECORD, row_events
from heliograph.archiver.schema import EVENT_TABLES, Table
from heliograph.common.errors import InputError
from heliograph.common.events import encode

if TYPE_CHECKING:
    from heliograph.archiver.archive.s3_store import S3Store

PAGE = 1000
"""Manifests in one answer: it must fit a message."""
DAYS_MOST = 100_000
EVENTS_PAGE = 500
EVENTS_BYTES = 256 << 10
"""A page of events ends when it has so many bytes: it must fit a message, and so must what is made of it."""
MAX_EVENTS = 1 << 40

Answer = Callable[[Request], Awaitable[Any]]


class ArchiveRequests:
    """Answers requests about one archive."""

    def __init__(self, archive: Archive, objects: ObjectStore) -> None:
        self._archive = archive
        self._objects = objects

    def answers(self) -> dict[str, Answer]:
        """What is answered, by the last part of its subject."""
        return {
            "verify": self.verify,
            "archived": self.archived,
            "restore": self.restore,
            "events": self.events,
            "drop": self.drop,
            "cost": self.cost,
            "lifecycle": self.lifecycle,
        }

    async def verify(self, request: Request) -> Verdict:
        """Read objects again: all of them, or those of `table` and of days `first` to `last`.

        Raises:
            InputError: a field is wrong.
            UnavailableError: the store does not answer.
        """
        return await self._archive.holdings.verify(_tables(request), *_days(request))

    async def archived(self, request: Request) -> dict[str, Any]:
        """A page of what is archived, by table and day, after `cursor`; `cursor` of the next, or None.

        Raises:
            InputError: a field is wrong, or a manifest cannot be read.
            UnavailableError: the store does not answer.
        """
        found = await self._archive.holdings.manifests(_tables(request), *_days(request))
        after = request.text("cursor", "")
        rest = [manifest for _, manifest in found if _place(manifest) > after]
        page = rest[:PAGE]
        return {
            "days": [_plain(manifest) for manifest in page],
            "cursor": _place(page[-1]) if len(rest) > PAGE else None,
        }

    async def restore(self, request: Request) -> Moved:
        """Bring the days `first` to `last` of `table` back into ClickHouse; without them, all of all.

        Raises:
            InputError: a field is wrong, or an object is not what its manifest says.
            UnavailableError: a store is away.
        """
        return await self._archive.holdings.restore(_tables(request), *_days(request))

    async def events(self, request: Request) -> dict[str, Any]:
        """A page of the events of an archived `day` of `table`, from number `first` on; `next` or None.

        Raises:
            InputError: a field is wrong, the day is not archived, or its object is not whole.
            UnavailableError: the store does not answer.
        """
        name = request.text("table")
        if name not in RECORD:
            raise InputError(f"table: {name!r}, expected one of {', '.join(RECORD)}")
        rows = await self._archive.holdings.rows(_table(name), request.date("day"))
        first = request.integer("first", 0, least=0, most=MAX_EVENTS)
        page, size = [], 0
        for event in row_events(name, rows.slice(first, EVENTS_PAGE)):
            page.append(msgspec.Raw(encode(event)))
            size += len(page[-1])
            if size >= EVENTS_BYTES:
                break
        upto = first + len(page)
        return {"events": page, "next": upto if upto < rows.num_rows else None}

    async def drop(self, request: Request) -> Moved:
        """Delete the days `first` to `last` of `table` from ClickHouse, once they are proved to be archived.

        Raises:
            InputError: a field is missing or wrong, or the archive does not hold what the database holds.
            UnavailableError: a store is away.
        """
        tables = [_table(request.text("table"))]
        return await self._archive.holdings.drop(tables, request.date("first"), request.date("last"))

    async def cost(self, request: Request) -> Cost:
        """Seven years of the archive that grows as it has so far.

        Raises:
            InputError: nothing is archived yet.
            UnavailableError: the store does not answer.
        """
        found = await self._archive.holdings.manifests()
        if not found:
            raise InputError("cost: nothing is archived, expected at least one day")
        return cost(sizes_of([manifest for _, manifest in found]), _plan(request))

    async def lifecycle(self, request: Request) -> dict[str, Any]:
        """The bucket's rules; with `apply` the plan is put first, and read back.

        Raises:
            InputError: the archive is a folder, or the plan or the bucket's rules contradict it.
            UnavailableError: S3 does not answer, or gives back another rule.
        """
        if isinstance(self._objects, FolderStore):
            raise InputError("archive_url: a folder, expected s3://bucket for a lifecycle")
        lifecycle = await self._archive.in_thread(cast("S3Store", self._objects).lifecycle)
        if request.flag("apply"):
            return {"applied": True, "rules": await self._archive.in_thread(lifecycle.apply, _plan(request))}
        return {"applied": False, "rules": await self._archive.in_thread(lifecycle.rules)}


def sizes_of(manifests: list[Manifest]) -> list[Size]:
    """What each table adds a day, over the days between its first and its last object."""
    sizes = []
    for table in EVENT_TABLES:
        own = [manifest for manifest in manifests if manifest.table == table.name]
        if own:
            days = len({manifest.day for manifest in own})
            sizes.append(Size(sum(manifest.bytes for manifest in own) / days, len(own) / days))
    return sizes


def _place(manifest: Manifest) -> str:
    return f"{[table.name for table in EVENT_TABLES].index(manifest.table)}/{manifest.day}"


def _plain(manifest: Manifest) -> dict[str, Any]:
    names = ("table", "day", "rows", "bytes", "sha256", "schema", "format", "dropped")
    whole = msgspec.to_builtins(manifest)
    return {name: whole[name] for name in names}


def _table(name: str) -> Table:
    for table in EVENT_TABLES:
        if table.name == name:
            return table
    raise InputError(f"table: {name!r}, expected one of {', '.join(table.name for table in EVENT_TABLES)}")


def _tables(request: Request) -> tuple[Table, ...]:
    name = request.text("table", "")
    return (_table(name),) if name else EVENT_TABLES


def _days(request: Request) -> tuple[str, str]:
    return request.date("first", ALL_DAYS[0]), request.date("last", ALL_DAYS[1])


def _plan(request: Request) -> Plan:
    default = Plan()
    names = ("ia", "glacier", "deep", "expire")
    return Plan(
        **{name: request.integer(name, getattr(default, name), least=0, most=DAYS_MOST) for name in names}
    )
