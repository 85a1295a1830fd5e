"""ClickHouse made again from what is kept elsewhere: the archive as far as it goes, then the streams."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pyarrow as pa
import structlog

from heliograph.archiver import ended
from heliograph.archiver.archive import days
from heliograph.archiver.archive.archive import Archive
from heliograph.archiver.archive.parquet import Manifest
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.processor import SOURCES
from heliograph.archiver.rows import BY_SOURCE, event_rows
from heliograph.archiver.schema import EVENT_TABLES, VIEWS, Table
from heliograph.common.bus import Bus
from heliograph.common.errors import InputError, PoisonError
from heliograph.common.service import Source

MESSAGES = 1000
"""Messages whose rows are inserted together."""
NAMED = 5

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild came to, by table.

    Attributes:
        before: rows when it began; `after` when it had ended.
        archived: rows restored from objects; `streamed` rows read from the streams, many of them the same.
        unread: messages that no table takes; they are in DEAD already.
    """

    before: dict[str, int]
    after: dict[str, int]
    archived: dict[str, int]
    streamed: dict[str, int]
    unread: int


async def rebuild(bus: Bus, db: ClickHouse, archive: Archive, *, reset: bool) -> Rebuilt:
    """Bring back what ClickHouse lacks of the archive and the streams; days that were dropped stay away.

    Args:
        bus: where the streams are.
        db: the database.
        archive: the archive of the database.
        reset: empty every table first, after all of it was archived and every object read again.

    Raises:
        InputError: an object is not whole: nothing was emptied, or the days before it are restored.
        UnavailableError: a store is away: rebuilding again goes on.
    """
    before = await _counts(db)
    if reset:
        await _empty(db, archive)
    archived = {table.name: await _restore(db, archive, table) for table in EVENT_TABLES}
    streamed: dict[str, int] = {}
    unread = 0
    for source in SOURCES:
        rows = 0
        async for table, refused in _read(bus, source):
            await db.insert(source.name, table)
            rows += table.num_rows
            unread += refused
        streamed[source.name] = rows
    after = await _counts(db)
    await log.ainfo("rebuilt", before=before, after=after)
    return Rebuilt(before=before, after=after, archived=archived, streamed=streamed, unread=unread)


async def _empty(db: ClickHouse, archive: Archive) -> None:
    """Empty the tables, and only what is proved to be kept elsewhere."""
    await archive.run(complete_only=False)
    if wrong := (await archive.holdings.verify()).wrong:
        named = "; ".join(f"{key}: {why}" for key, why in sorted(wrong.items())[:NAMED])
        raise InputError(
            f"rebuild: {len(wrong)} archived objects are not whole, nothing was emptied: {named}"
        )
    for name in (*(table.name for table in EVENT_TABLES), *(view.name for view in VIEWS)):
        await db.rows(f"TRUNCATE TABLE {name}")
    ended.forget(db)


async def _restore(db: ClickHouse, archive: Archive, table: Table) -> int:
    """Restore the days of which ClickHouse does not have every row; how many rows came back."""
    manifests = [
        manifest for _, manifest in await archive.holdings.manifests([table]) if not manifest.dropped
    ]
    there = {
        day.date: day for day in await days.contents(db, table, [manifest.day for manifest in manifests])
    }
    missing = [manifest for manifest in manifests if not _has(there.get(manifest.day), manifest)]
    return (await archive.holdings.restore_these(table, missing)).rows


def _has(day: days.Day | None, manifest: Manifest) -> bool:
    return day is not None and (day.rows, day.fingerprint) == (manifest.rows, manifest.fingerprint)


async def _read(bus: Bus, source: Source) -> AsyncIterator[tuple[pa.Table, int]]:
    """The rows of all that a stream still holds of a source, and how many messages were not readable."""
    decoder = msgspec.json.Decoder(source.event)
    subject = source.subject.format(shard="*")
    events: list[Any] = []
    refused = 0
    upto = await bus.last_seq(source.stream)
    async for message in bus.read(source.stream, subject, after=0, upto=upto):
        try:
            events.append(decoder.decode(message.data))
        except msgspec.DecodeError:
            refused += 1
        if len(events) == MESSAGES:
            yield _rows(source, events)
            events = []
    table, poison = _rows(source, events)
    yield table, refused + poison


def _rows(source: Source, events: list[Any]) -> tuple[pa.Table, int]:
    """The rows of events; where some fit no table, of the others."""
    try:
        return event_rows(source.name, events), 0
    except PoisonError:
        if len(events) <= 1:
            return BY_SOURCE[source.name].columns.empty_table(), len(events)
        middle = len(events) // 2
        left, right = _rows(source, events[:middle]), _rows(source, events[middle:])
        return pa.concat_tables([left[0], right[0]]), left[1] + right[1]


async def _counts(db: ClickHouse) -> dict[str, int]:
    names = [table.name for table in EVENT_TABLES]
    [row] = await db.rows("SELECT " + ", ".join(f"(SELECT count() FROM {name} FINAL)" for name in names))  # noqa: S608 - our own names
    return dict(zip(names, map(int, row), strict=True))
