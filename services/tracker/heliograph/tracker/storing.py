"""One write transaction: what is not there yet is inserted, for the holders of their shards.

Many rows go by COPY into a staging table of the session and from there into the record; few rows go as VALUES
in two round trips to the server, since on a busy machine each round trip waits for its turn on the processor.

The statement that inserts rows also seals them: one block of the ledger a shard (see `ledger`).
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from psycopg import sql

from heliograph.tracker import leases
from heliograph.tracker.database import Connection
from heliograph.tracker.leases import Lease
from heliograph.tracker.rows import TABLES, Row, Table

FEW = 16
"""Up to so many rows VALUES are quicker than COPY."""
AFTER_SIGNALS = sql.SQL(
    """, followed AS (INSERT INTO unfinished (signal, ts, shards, shard, symbol, action)
    SELECT key, ts, shards, shard, symbol, action FROM stored)"""
)
"""A new signal is unfinished business from the moment it is stored."""

Owned = tuple[Lease, Row]
Key = tuple[str, str]


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


def _copy(table: Table) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN").format(_stage(table), _identifiers(table.columns))


def _from_stage(table: Table) -> sql.Composed:
    return sql.SQL("SELECT {} FROM {}").format(_identifiers(table.columns), _stage(table))


def _values(table: Table, rows: int) -> sql.Composed:
    row = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(table.columns)))
    return sql.SQL("VALUES {}").format(sql.SQL(", ").join([row] * rows))


CREATE = {name: _create(table) for name, table in TABLES.items()}
COPY = {name: _copy(table) for name, table in TABLES.items()}
INSERT_MANY = {name: _insert(table, _from_stage(table)) for name, table in TABLES.items()}
INSERT_FEW = {
    (name, rows): _insert(table, _values(table, rows))
    for name, table in TABLES.items()
    for rows in range(1, FEW + 1)
}


async def store(connection: Connection, rows: Sequence[Owned]) -> tuple[set[Lease], set[Key]]:
    """Write rows in one transaction; the leases that hold, and the keys that were not there before.

    Raises:
        psycopg.DataError: a row cannot be stored (also psycopg.IntegrityError); none of them is.
    """
    return await (_store_few(connection, rows) if len(rows) <= FEW else _store_many(connection, rows))


async def _store_few(connection: Connection, rows: Sequence[Owned]) -> tuple[set[Lease], set[Key]]:
    async with connection.pipeline():
        async with connection.transaction():
            held = await leases.hold(connection, {lease for lease, _ in rows})
            asked = [
                (
                    name,
                    await connection.execute(
                        INSERT_FEW[name, len(group)], list(itertools.chain.from_iterable(group))
                    ),
                )
                for name, group in _by_table(rows, held)
            ]
        return held, {(name, key) for name, cursor in asked for (key,) in await cursor.fetchall()}


async def _store_many(connection: Connection, rows: Sequence[Owned]) -> tuple[set[Lease], set[Key]]:
    new: set[Key] = set()
    async with connection.transaction():
        held = await leases.hold(connection, {lease for lease, _ in rows})
        for name, group in _by_table(rows, held):
            await connection.execute(CREATE[name])
            cursor = connection.cursor()
            async with cursor.copy(COPY[name]) as copy:
                for values in group:
                    await copy.write_row(values)
            await cursor.execute(INSERT_MANY[name])
            new.update((name, key) for (key,) in await cursor.fetchall())
    return held, new


def _by_table(rows: Iterable[Owned], held: set[Lease]) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """The values of the rows that may be written, table by table."""
    allowed = sorted((row for lease, row in rows if lease in held), key=lambda row: row.table)
    for name, group in itertools.groupby(allowed, key=lambda row: row.table):
        yield name, [row.values for row in group]
