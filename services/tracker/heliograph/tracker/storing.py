"""One write transaction: what is not there yet is inserted, for the holders of their shards.

Many rows go by COPY straight into the record, since nearly always none of them is there yet. Where one is,
COPY is refused as a whole: then, and for as long as rows come a second time, they go into a staging table of
the session and from there into the record. Few rows go as VALUES in a single round trip to the server, since
on a busy machine each round trip waits for its turn on the processor.

The transaction that inserts rows also seals them: one block of the ledger a table and shard (see `ledger`).
"""

import itertools
from collections.abc import Iterator, Sequence

import psycopg
from psycopg import sql

from heliograph.tracker import copying, leases
from heliograph.tracker.database import Connection
from heliograph.tracker.leases import Lease
from heliograph.tracker.ledger import row_digest
from heliograph.tracker.rows import TABLES, Row, Table

FEW = 2
"""Up to so many rows VALUES are quicker than COPY; with more parameters the library parses anew each time."""
AFTER_SIGNALS = sql.SQL(
    """, followed AS (INSERT INTO unfinished (signal, ts, shards, shard, symbol, action)
    SELECT key, ts, shards, shard, symbol, action FROM stored)"""
)
"""A new signal is unfinished business from the moment it is stored."""

Owned = tuple[Lease, Row]
Key = tuple[str, str]


def _text(statement: sql.Composed) -> bytes:
    """A statement put together once: the library would do it again at each execution."""
    return statement.as_bytes(None)


def _identifiers(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _stage(table: Table) -> sql.Identifier:
    return sql.Identifier(f"staged_{table.name}")


SEALED = """, members AS (
    SELECT shards, shard, array_agg(key ORDER BY place, key) AS keys,
        array_agg(place ORDER BY place, key) AS places, string_agg(digest, '' ORDER BY place, key) AS digests
    FROM stored GROUP BY shards, shard
), blocks AS (
    SELECT {record} AS record, m.*, coalesce(head.number, 0) + 1 AS number,
        coalesce(head.link, '') AS previous
    FROM members m LEFT JOIN LATERAL (
        SELECT number, link FROM ledger l
        WHERE l.record = {record} AND l.shards = m.shards AND l.shard = m.shard ORDER BY number DESC LIMIT 1
    ) AS head ON true
), sealed AS (
    INSERT INTO ledger (record, shards, shard, number, previous, link, keys, places, digests)
    SELECT record, shards, shard, number, previous,
        block_link(record, shards, shard, number, previous, keys, places, digests), keys, places, digests
    FROM blocks
)"""


def _seal(table: Table) -> sql.Composed:
    """Seals rows that COPY has inserted: what the insertion itself would return comes as columns."""
    signals = table.name == "signals"
    return sql.SQL(
        """WITH stored AS (SELECT * FROM unnest(
            %b::text[], %b::int4[], %b::int4[], %b::int8[], %b::bytea[]{more})
            AS given (key, shards, shard, place, digest{names}))
        {followed}{sealed}
        SELECT"""
    ).format(
        more=sql.SQL(", %b::int8[], %b::text[], %b::text[]" if signals else ""),
        names=sql.SQL(", ts, symbol, action" if signals else ""),
        followed=AFTER_SIGNALS if signals else sql.SQL(""),
        sealed=sql.SQL(SEALED).format(record=sql.Literal(table.name)),
    )


def _insert(table: Table, source: sql.Composed) -> sql.Composed:
    return sql.SQL(
        """WITH stored AS (INSERT INTO {name} ({columns}) {source} ON CONFLICT ({conflict}) DO NOTHING
        RETURNING {key} AS key, {returned} shards, shard, {place} AS place,
            row_digest(traceparent, payload) AS digest)
        {followed}{sealed}
        SELECT key FROM stored"""
    ).format(
        name=sql.Identifier(table.name),
        columns=_identifiers(table.columns),
        source=source,
        conflict=_identifiers(table.conflict),
        key=sql.Identifier(table.key),
        place=sql.Identifier(table.place),
        returned=sql.SQL("ts, symbol, action," if table.name == "signals" else ""),
        followed=AFTER_SIGNALS if table.name == "signals" else sql.SQL(""),
        sealed=sql.SQL(SEALED).format(record=sql.Literal(table.name)),
    )


# The staging tables hold a row as it is: without the target, those over 2 kB would be compressed on the way.
def _create(table: Table) -> sql.Composed:
    return sql.SQL(
        """CREATE TEMP TABLE IF NOT EXISTS {} WITH (toast_tuple_target = 8160) ON COMMIT DELETE ROWS
        AS SELECT {} FROM {} WITH NO DATA"""
    ).format(_stage(table), _identifiers(table.columns), sql.Identifier(table.name))


def _copy(table: Table, into: sql.Identifier) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(into, _identifiers(table.columns))


def _from_stage(table: Table) -> sql.Composed:
    return sql.SQL("SELECT {} FROM {}").format(_identifiers(table.columns), _stage(table))


def _values(table: Table, rows: int) -> sql.Composed:
    row = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(table.columns)))
    return sql.SQL("VALUES {}").format(sql.SQL(", ").join([row] * rows))


CREATE = {name: _text(_create(table)) for name, table in TABLES.items()}
COPY = {name: _text(_copy(table, sql.Identifier(name))) for name, table in TABLES.items()}
COPY_STAGED = {name: _text(_copy(table, _stage(table))) for name, table in TABLES.items()}
SEAL = {name: _text(_seal(table)) for name, table in TABLES.items()}
INSERT_MANY = {name: _text(_insert(table, _from_stage(table))) for name, table in TABLES.items()}
INSERT_FEW = {
    (name, rows): _text(_insert(table, _values(table, rows)))
    for name, table in TABLES.items()
    for rows in range(1, FEW + 1)
}


class Storing:
    """Writes transactions, and knows whether rows come a second time just now."""

    def __init__(self) -> None:
        self._repeating = False

    async def store(self, connection: Connection, rows: Sequence[Owned]) -> tuple[set[Lease], set[Key]]:
        """Write rows in one transaction; the leases that hold, and the keys that were not there before.

        Raises:
            psycopg.DataError: a row cannot be stored (also psycopg.IntegrityError, OverflowError); none of
                them is.
        """
        held = {lease for lease, _ in rows}
        while True:
            allowed = [(lease, row) for lease, row in rows if lease in held]
            try:
                return held, await self._transaction(connection, held, allowed)
            except psycopg.DatabaseError as error:
                if error.sqlstate != leases.LOST:
                    raise
                held = await leases.newest(connection, held)

    async def _transaction(self, connection: Connection, held: set[Lease], rows: Sequence[Owned]) -> set[Key]:
        if not rows:
            return set()
        if len(rows) <= FEW:
            return await _store_few(connection, held, rows)
        if not self._repeating:
            try:
                return await _store_new(connection, held, rows)
            except psycopg.errors.UniqueViolation:
                self._repeating = True
        new = await _store_staged(connection, held, rows)
        self._repeating = len(new) < len(rows)
        return new


async def _store_few(connection: Connection, held: set[Lease], rows: Sequence[Owned]) -> set[Key]:
    async with connection.pipeline():
        async with connection.transaction():
            await leases.hold(connection, held)
            asked = [
                (
                    name,
                    await connection.execute(
                        INSERT_FEW[name, len(group)],
                        list(itertools.chain.from_iterable(row.values for _, row in group)),
                    ),
                )
                for name, group in _by_table(rows)
            ]
        return {(name, key) for name, cursor in asked for (key,) in await cursor.fetchall()}


async def _store_new(connection: Connection, held: set[Lease], rows: Sequence[Owned]) -> set[Key]:
    """Store rows of which none is there yet; `transaction()` would wait for BEGIN and for COMMIT alone.

    Raises:
        psycopg.errors.UniqueViolation: one is there; none of them is stored.
    """
    groups = list(_by_table(rows))
    try:
        async with connection.pipeline():
            await connection.execute("BEGIN")
            await leases.hold(connection, held)
        for name, group in groups:
            async with connection.cursor().copy(COPY[name]) as copy:
                await copying.write(copy, TABLES[name].types, (row.values for _, row in group))
        async with connection.pipeline():
            for name, group in groups:
                await connection.execute(SEAL[name], _sealing(TABLES[name], group))
            await connection.execute("COMMIT")
    except BaseException:
        if not connection.closed:
            await connection.rollback()
        raise
    return {(row.table, row.key) for _, row in rows}


def _sealing(table: Table, group: Sequence[Owned]) -> list[list[object]]:
    """The columns that `_seal` asks for. The digests are made here, beside the server's work."""
    names = [table.place, *(("ts", "symbol", "action") if table.name == "signals" else ())]
    at = [table.columns.index(name) for name in names]
    place, *more = ([row.values[index] for _, row in group] for index in at)
    shards, shard, _ = leases.columns(lease for lease, _ in group)
    digests: list[object] = [row_digest(*row.values[-2:]) for _, row in group]
    return [[row.key for _, row in group], [*shards], [*shard], place, digests, *more]


async def _store_staged(connection: Connection, held: set[Lease], rows: Sequence[Owned]) -> set[Key]:
    new: set[Key] = set()
    async with connection.transaction():
        await leases.hold(connection, held)
        for name, group in _by_table(rows):
            await connection.execute(CREATE[name])
            cursor = connection.cursor()
            async with cursor.copy(COPY_STAGED[name]) as copy:
                await copying.write(copy, TABLES[name].types, (row.values for _, row in group))
            await cursor.execute(INSERT_MANY[name])
            new.update((name, key) for (key,) in await cursor.fetchall())
    return new


def _by_table(rows: Sequence[Owned]) -> Iterator[tuple[str, list[Owned]]]:
    """The rows table by table."""
    ordered = sorted(rows, key=lambda owned: owned[1].table)
    for name, group in itertools.groupby(ordered, key=lambda owned: owned[1].table):
        yield name, list(group)
