"""One write transaction: what is not there yet is inserted, for the holders of their shards.

Many rows go by COPY straight into the record, since nearly always none of them is there yet. Where one is,
COPY is refused as a whole: then, and for as long as rows come a second time, they go into a staging table of
the session and from there into the record. Few rows go as one JSON document to a function of the session, in
a single statement: on a busy machine each round trip waits for its turn on the processor, and putting sixty
parameters together takes the library longer than the server needs for the rows.

The transaction that inserts rows also seals them: one block of the ledger a table and shard (see `ledger`).
"""

import itertools
from collections.abc import Iterator, Sequence
from weakref import WeakSet

import msgspec
import psycopg
from psycopg import sql

from heliograph.tracker import copying, leases
from heliograph.tracker.database import Connection
from heliograph.tracker.leases import Lease
from heliograph.tracker.ledger import row_digest
from heliograph.tracker.rows import TABLES, VOTES, Row, Table

FEW = 32
"""Up to so many rows a document is quicker than COPY."""
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
        SELECT {table}, key FROM stored"""
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
        table=sql.Literal(table.name),
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


def _from_document(table: Table) -> sql.Composed:
    return sql.SQL("SELECT {} FROM jsonb_populate_recordset(NULL::{}, document->{})").format(
        _identifiers(table.columns), sql.Identifier(table.name), sql.Literal(table.name)
    )


def _few() -> sql.Composed:
    """The function of the session that writes the rows of a document: table → rows, and `held` → leases.

    It is made from the same text as the other ways in, and the leases are held before its first insertion
    looks at the ledger, each statement inside with a view of its own.
    """
    writes = [
        sql.SQL(
            """IF document ? {name} THEN
            RETURN QUERY {insertion};
        END IF;"""
        ).format(name=sql.Literal(table.name), insertion=_insert(table, _from_document(table)))
        for table in TABLES.values()
    ]
    return sql.SQL(
        """CREATE OR REPLACE FUNCTION pg_temp.store_few(document jsonb)
    RETURNS TABLE (stored_table text, stored_key text) LANGUAGE plpgsql AS $$
    #variable_conflict use_column
    BEGIN
        PERFORM hold_leases(array_agg(shards), array_agg(shard), array_agg(epoch))
        FROM jsonb_to_recordset(document->'held') AS held (shards integer, shard integer, epoch bigint);
        {}
    END $$"""
    ).format(sql.SQL("\n        ").join(writes))


CREATE = {name: _text(_create(table)) for name, table in TABLES.items()}
COPY = {name: _text(_copy(table, sql.Identifier(name))) for name, table in TABLES.items()}
COPY_STAGED = {name: _text(_copy(table, _stage(table))) for name, table in TABLES.items()}
SEAL = {name: _text(_seal(table)) for name, table in TABLES.items()}
INSERT_MANY = {name: _text(_insert(table, _from_stage(table))) for name, table in TABLES.items()}
CREATE_FEW = _text(_few())
STORE_FEW = b"SELECT * FROM pg_temp.store_few(%s::jsonb)"


class Storing:
    """Writes transactions, and knows whether rows come a second time just now."""

    def __init__(self) -> None:
        self._repeating = False
        self._able: WeakSet[Connection] = WeakSet()
        """The connections whose session has the function for few rows."""

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
            return await self._store_few(connection, held, rows)
        if not self._repeating:
            try:
                return await _store_new(connection, held, rows)
            except psycopg.errors.UniqueViolation:
                self._repeating = True
        new = await _store_staged(connection, held, rows)
        self._repeating = len(new) < len(rows)
        return new

    async def _store_few(self, connection: Connection, held: set[Lease], rows: Sequence[Owned]) -> set[Key]:
        if connection not in self._able:
            await connection.execute(CREATE_FEW)
            self._able.add(connection)
        cursor = await connection.execute(STORE_FEW, (_document(held, rows),))
        return {(table, key) for table, key in await cursor.fetchall()}


def _unquoted(column: str, value: object) -> object:
    """A value as it stands in a document: what is JSON already is not quoted again."""
    return msgspec.Raw(value.encode()) if column == VOTES and isinstance(value, str) else value


def _document(held: set[Lease], rows: Sequence[Owned]) -> str:
    """Rows and leases as `_few` takes them."""
    document: dict[str, Sequence[object]] = {"held": list(held)}
    for name, group in _by_table(rows):
        columns = TABLES[name].columns
        document[name] = [
            {column: _unquoted(column, value) for column, value in zip(columns, row.values, strict=True)}
            for _, row in group
        ]
    return msgspec.json.encode(document).decode()


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
            new.update(await cursor.fetchall())
    return new


def _by_table(rows: Sequence[Owned]) -> Iterator[tuple[str, list[Owned]]]:
    """The rows table by table."""
    ordered = sorted(rows, key=lambda owned: owned[1].table)
    for name, group in itertools.groupby(ordered, key=lambda owned: owned[1].table):
        yield name, list(group)
