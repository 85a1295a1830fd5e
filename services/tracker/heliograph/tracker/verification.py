"""Verifying the record page by page, so that it is never long at work and any replica can go on."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final, Literal, LiteralString

import msgspec
from psycopg import sql

from heliograph.common.errors import InputError
from heliograph.tracker import days
from heliograph.tracker.checking import (
    Finding,
    Row,
    check_link,
    check_members,
    check_signal_chain,
    foreign,
)
from heliograph.tracker.database import Database
from heliograph.tracker.ledger import Block, whole
from heliograph.tracker.rows import RESTORED, TABLES

PAGE_ROWS = 2000
"""Rows of one page, more or less: a block is never split."""
PAGE_BLOCKS = 500
PAGE_FOREIGN = 500
RECENT = timedelta(hours=24)
_BLOCKS: Final = (
    "SELECT record, shards, shard, number, previous, link, keys, places, digests, created FROM ledger"
)
_FIELDS = tuple(field.name for field in msgspec.structs.fields(Block))


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """Where a verification goes on: after a block, after a foreign row, or after a day."""

    stage: Literal["blocks", "foreign", "days"] = "blocks"
    record: str = ""
    shards: int = 0
    shard: int = 0
    number: int = 0
    key: str = ""
    day: str = ""


class VerifyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a verification: of everything when `full`, else of what the last day has recorded."""

    full: bool = False
    cursor: Cursor = Cursor()


class VerifyPage(msgspec.Struct, frozen=True, kw_only=True):
    """What a page has looked at, what it found, and where to go on (None at the end)."""

    rows: int = 0
    blocks: int = 0
    days: int = 0
    findings: list[Finding] = []
    cursor: Cursor | None


class Verification:
    """Reads the record and has it checked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, query: VerifyQuery) -> VerifyPage:
        """One page; the work on it is done beside the event loop.

        Raises:
            UnavailableError: Postgres is away.
        """
        if query.cursor.stage == "blocks":
            return await self._blocks_page(query)
        if query.cursor.stage == "foreign":
            return await self._foreign_page(query)
        return await self._days_page(query.cursor)

    async def sample(self, rows: int) -> VerifyPage:
        """Blocks taken at random until they hold so many rows.

        Raises:
            UnavailableError: Postgres is away.
        """
        chosen = await self._database.fetch(
            "SELECT record, shards, shard, number FROM ledger ORDER BY random() LIMIT %s", (rows,)
        )
        page = VerifyPage(cursor=None)
        for identity in chosen:
            if page.rows >= rows:
                break
            blocks = await self._blocks(
                f"{_BLOCKS} WHERE (record, shards, shard, number) = (%s, %s, %s, %s)",
                identity,
            )
            page = VerifyPage(
                rows=page.rows + sum(len(block.keys) for block in blocks),
                blocks=page.blocks + len(blocks),
                findings=page.findings + await self._check(blocks),
                cursor=None,
            )
        return page

    async def _blocks_page(self, query: VerifyQuery) -> VerifyPage:
        at = query.cursor
        found = await self._blocks(
            f"""{_BLOCKS} WHERE (record, shards, shard, number) > (%s, %s, %s, %s)
            AND (%s OR created >= now() - %s) ORDER BY record, shards, shard, number LIMIT %s""",
            (at.record, at.shards, at.shard, at.number, query.full, RECENT, PAGE_BLOCKS),
        )
        if not found:
            return VerifyPage(cursor=Cursor(stage="foreign", record=min(TABLES)))
        blocks, rows = [], 0
        for block in found:
            blocks.append(block)
            rows += len(block.keys)
            if rows >= PAGE_ROWS:
                break
        last = blocks[-1]
        return VerifyPage(
            rows=rows,
            blocks=len(blocks),
            findings=await self._check(blocks),
            cursor=Cursor(record=last.record, shards=last.shards, shard=last.shard, number=last.number),
        )

    async def _check(self, blocks: Sequence[Block]) -> list[Finding]:
        """Blocks in the order of their chains, each chain's first one against its predecessor."""
        firsts = [b for b, earlier in zip(blocks, [None, *blocks], strict=False) if _starts(b, earlier)]
        befores = [before for first in firsts for before in await self._before(first)]
        keys = _keys(blocks, befores)
        tables = {record: await self._rows(record, wanted) for record, wanted in keys.items()}
        return await asyncio.to_thread(check, blocks, befores, tables)

    async def _before(self, block: Block) -> list[Block]:
        return await self._blocks(
            f"""{_BLOCKS} WHERE (record, shards, shard) = (%s, %s, %s) AND number < %s
            ORDER BY number DESC LIMIT 1""",
            (*block.chain, block.number),
        )

    async def _blocks(self, query: LiteralString, parameters: Sequence[object]) -> list[Block]:
        rows = await self._database.fetch(query, parameters)
        return [Block(**dict(zip(_FIELDS, row, strict=True))) for row in rows]

    async def _rows(self, record: str, keys: Sequence[str]) -> dict[str, Row]:
        """Rows of a table by key; of a table that is none of the record, none."""
        if record not in TABLES:
            return {}
        table = TABLES[record]
        names = (*table.columns, "created")
        found = await self._database.fetch(
            sql.SQL("SELECT {} FROM {} WHERE {} = ANY(%s)").format(
                sql.SQL(", ").join(map(sql.Identifier, names)),
                sql.Identifier(table.view),
                sql.Identifier(table.key),
            ),
            (list(keys),),
        )
        rows = [dict(zip(names, row, strict=True)) for row in found]
        return {row[table.key]: row for row in rows}

    async def _foreign_page(self, query: VerifyQuery) -> VerifyPage:
        record, after = query.cursor.record, query.cursor.key
        if record not in TABLES:
            raise InputError(f"cursor.record: {record!r}, expected one of {sorted(TABLES)}")
        table = TABLES[record]
        # What was written within the last day is in a block of the same moment.
        recent: LiteralString = "" if query.full else "AND created >= now() - %(recent)s"
        found = await self._database.fetch(
            sql.SQL(
                """SELECT {key} FROM {table} WHERE {key} > %(after)s {recent}
                EXCEPT SELECT unnest(keys) FROM ledger WHERE record = %(record)s {recent}
                ORDER BY 1 LIMIT %(limit)s"""
            ).format(key=sql.Identifier(table.key), table=sql.Identifier(table.view), recent=sql.SQL(recent)),
            {"after": after, "recent": RECENT, "record": record, "limit": PAGE_FOREIGN},
        )
        keys = [key for (key,) in found]
        if len(keys) == PAGE_FOREIGN:
            following = Cursor(stage="foreign", record=record, key=keys[-1])
        else:
            later = sorted(name for name in TABLES if name > record)
            following = Cursor(stage="foreign", record=later[0]) if later else Cursor(stage="days")
        return VerifyPage(findings=foreign(record, keys), cursor=following)

    async def _days_page(self, cursor: Cursor) -> VerifyPage:
        checked = await days.check(self._database, date.fromisoformat(cursor.day) if cursor.day else None)
        if checked is None:
            return VerifyPage(cursor=None)
        day, findings = checked
        return VerifyPage(days=1, findings=findings, cursor=Cursor(stage="days", day=day.isoformat()))


def _starts(block: Block, earlier: Block | None) -> bool:
    """Whether a block's predecessor in the chain is not the one that was read before it."""
    return earlier is None or earlier.chain != block.chain


def _keys(blocks: Iterable[Block], befores: Iterable[Block]) -> dict[str, list[str]]:
    """The rows that are needed, by table: all of the blocks, and the last one before each chain's first."""
    keys: dict[str, list[str]] = {}
    for block in blocks:
        keys.setdefault(block.record, []).extend(block.keys)
    for block in befores:
        keys.setdefault(block.record, []).extend(block.keys[-1:])
    return keys


def check(
    blocks: Sequence[Block], befores: Sequence[Block], tables: Mapping[str, Mapping[str, Row]]
) -> list[Finding]:
    """What is wrong with blocks, in the order of their chains, and with their rows."""
    last: dict[tuple[str, int, int], Block] = {block.chain: block for block in befores}
    newest: dict[tuple[str, int, int], str | None] = {}
    for block in befores:
        row = tables[block.record].get(block.keys[-1]) if block.keys else None
        signal = row is not None and block.record == "signals" and row["stream_seq"] != RESTORED
        newest[block.chain] = row["sha256"] if row and signal else None
    found: list[Finding] = []
    for block in blocks:
        found += check_link(block, last.get(block.chain))
        if whole(block):
            found += check_members(block, tables[block.record])
        if block.record == "signals":
            chained, newest[block.chain] = check_signal_chain(
                block, tables[block.record], newest.get(block.chain)
            )
            found += chained
        last[block.chain] = block
    return found
