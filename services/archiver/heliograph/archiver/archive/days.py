"""The days of a table in ClickHouse: which have changed, what they hold, and their rows in order."""

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from heliograph.archiver.archive.parquet import PAGE_ROWS
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.schema import BARS, Table

DAY_NS = 86_400 * 1_000_000_000
OVERLAP_S = 60
"""A look for changes begins so long before the last one: an insert shows later than the time in its rows."""


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One event day of a table: its date (`YYYY-MM-DD`), its distinct rows, and a hash over them."""

    date: str
    rows: int
    fingerprint: str


async def changed(db: ClickHouse, table: Table, since: int) -> tuple[set[str], int]:
    """The days into which rows were inserted at or after `since` (seconds, the database's clock; 0 for all).

    Returns:
        The dates, and the `since` of the next look.
    """
    await db.catch_up(table.name)
    [(now,)] = await db.rows("SELECT toUnixTimestamp(now())")
    found = await db.rows(
        f"SELECT DISTINCT toString(toDate({table.time})) FROM {table.name} "  # noqa: S608 - names of our own tables
        "WHERE inserted >= toDateTime({since:UInt32})",
        {"since": since},
    )
    return {date for (date,) in found}, max(0, int(now) - OVERLAP_S)


async def contents(db: ClickHouse, table: Table, dates: Iterable[str]) -> list[Day]:
    """What the days hold, in the order of their dates; duplicates not yet merged count once."""
    wanted = sorted(dates)
    if not wanted:
        return []
    found = await db.rows(
        f"SELECT toString(toDate({table.time}) AS day), count(), "  # noqa: S608 - names of our own tables
        f"toString(sum(cityHash64({_columns(table)}))) "
        f"FROM {table.name} FINAL WHERE {_within(table)} GROUP BY day ORDER BY day",
        _dates(wanted),
    )
    return [Day(date=date, rows=int(rows), fingerprint=fingerprint) for date, rows, fingerprint in found]


async def settled(db: ClickHouse, table: Table, date: str, age_s: int) -> tuple[int, int]:
    """A time `age_s` ago (seconds, the database's clock), and a day's rows that came at or after it."""
    await db.catch_up(table.name)
    [(before, late)] = await db.rows(
        f"SELECT toUnixTimestamp(now()) - {age_s}, "  # noqa: S608 - names of our own tables
        f"(SELECT count() FROM {table.name} WHERE toDate({table.time}) = {{date:Date}} "
        f"AND toUnixTimestamp(inserted) >= toUnixTimestamp(now()) - {age_s})",
        {"date": date},
    )
    return int(before), int(late)


async def delete(db: ClickHouse, table: Table, date: str, before: int) -> None:
    """Delete a day's rows that came before a time; later ones stay. Returns when no query sees them."""
    await db.rows(
        f"DELETE FROM {table.name} WHERE toDate({table.time}) = {{date:Date}} "  # noqa: S608 - names of our own tables
        "AND toUnixTimestamp(inserted) < {before:Int64}",
        {"date": date, "before": before},
    )


async def newest_date(db: ClickHouse) -> str:
    """The date of the newest bar: the days before it are complete. Empty without bars."""
    [(newest, count)] = await db.rows(f"SELECT toString(toDate(max(ts))), count() FROM {BARS.name}")  # noqa: S608 - names of our own tables
    return str(newest) if count else ""


class Counted(Protocol):
    """Something of which the rows are known."""

    @property
    def rows(self) -> int:
        """How many there are."""
        ...


C = TypeVar("C", bound=Counted)


def groups(days: Iterable[C], limit: int = PAGE_ROWS) -> Iterator[list[C]]:
    """Consecutive days that together have at most `limit` rows; a bigger day stands alone."""
    group: list[C] = []
    for day in days:
        if group and sum(d.rows for d in group) + day.rows > limit:
            yield group
            group = []
        group.append(day)
    if group:
        yield group


async def read_group(db: ClickHouse, table: Table, group: list[Day]) -> list[tuple[str, pa.Table]]:
    """The rows of several days, sorted by the key, with the date of each day.

    Raises:
        UnavailableError: ClickHouse is away.
    """
    rows = await db.arrow(
        f"SELECT {_columns(table)} FROM {table.name} FINAL WHERE {_within(table)} "  # noqa: S608 - names of our own tables
        f"ORDER BY toDate({table.time}), {', '.join(table.key)}",
        _dates([day.date for day in group]),
    )
    return list(split(table, rows.cast(table.columns)))


def split(table: Table, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Rows sorted by day as one slice a day, with its date."""
    if not rows.num_rows:
        return
    numbers = rows[table.time].cast(pa.int64()).to_numpy() // DAY_NS
    starts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])
    for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True):
        yield date_of(int(numbers[start]) * DAY_NS), rows.slice(start, end - start)


def date_of(ts: int) -> str:
    """The UTC date of an event time in nanoseconds."""
    return datetime.fromtimestamp(ts // 1_000_000_000, UTC).date().isoformat()


async def read_pages(db: ClickHouse, table: Table, date: str) -> AsyncIterator[pa.Table]:
    """One day in pages of a row group each, in order of the key; other calls have their turn between.

    Raises:
        UnavailableError: ClickHouse is away.
    """
    after, parameters = "", dict[str, Any]()
    while True:
        page = await db.arrow(
            f"SELECT {_columns(table)} FROM {table.name} FINAL "  # noqa: S608 - names of our own tables
            f"WHERE toDate({table.time}) = {{date:Date}} {after} "
            f"ORDER BY {', '.join(table.key)} LIMIT {PAGE_ROWS}",
            {"date": date, **parameters},
        )
        if page.num_rows:
            yield (page := page.cast(table.columns))
        if page.num_rows < PAGE_ROWS:
            return
        last = {name: page[name].cast(_plain(page[name].type))[-1].as_py() for name in table.key}
        parameters = {f"last_{name}": value for name, value in last.items()}
        after = f"AND ({', '.join(table.key)}) > ({', '.join(_literal(table, name) for name in table.key)})"


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def _literal(table: Table, name: str) -> str:
    if name == table.time:
        return f"fromUnixTimestamp64Nano({{last_{name}:Int64}}, 'UTC')"
    return f"{{last_{name}:String}}"


def _columns(table: Table) -> str:
    return ", ".join(f"`{name}`" for name in table.columns.names)


def _within(table: Table) -> str:
    # The range lets the engine leave out whole months before it looks at the list.
    day = f"toDate({table.time})"
    return f"{day} BETWEEN {{first:Date}} AND {{last:Date}} AND {day} IN {{dates:Array(Date)}}"


def _dates(dates: list[str]) -> dict[str, Any]:
    return {"first": dates[0], "last": dates[-1], "dates": dates}
