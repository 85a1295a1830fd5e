"""The schema of the tracker's database: migrations, one process at a time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import LiteralString

import psycopg
import yoyo
from psycopg import sql

LOCK_EVERY_S = 0.1
MIGRATION_LOCK = 0x6865_6C69_6F01
"""Advisory lock of the migrations. The server lets go of it when its holder dies, unlike a row in a table."""


PARTITIONED_INDEXES = {
    "signals_regime_ts": ("signals", "regime, ts"),
    "signals_archived_regime_ts": ("signals_archived", "regime, ts"),
}
"""Indexes of partitioned tables that came after the first rows. No migration can make them concurrently: that
goes partition by partition, each outside of any transaction."""


def migrate(url: str) -> int:
    """Bring the schema to the newest version; how many migrations that took. Writers are not held up by it.

    Raises:
        psycopg.OperationalError: the server is away.
    """
    with _backend(url) as (connection, backend, migrations):
        due = backend.to_apply(migrations)
        for migration in due:
            _apply(backend, migration)
        for name, (table, columns) in PARTITIONED_INDEXES.items():
            _index(connection, name, table, columns)
        return len(due)


def _apply(backend: yoyo.backends.base.DatabaseBackend, migration: yoyo.migrations.Migration) -> None:
    """Apply a migration and note that down, in one transaction.

    The tool itself notes it down in a second one: a process that was killed between the two found its own
    tables at every later start. A migration that cannot be in a transaction can be repeated.
    """
    backend.ensure_internal_schema_updated()
    migration.load()
    if not migration.use_transactions:
        backend.apply_one(migration)
        return
    with backend.copy() as own, own.transaction():
        migration.process_steps(own, "apply")
        own.mark_one(migration)


def _index(connection: psycopg.Connection, name: str, table: LiteralString, columns: LiteralString) -> None:
    """Index each partition concurrently, and then the table, which takes over what its partitions have."""
    found = connection.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (name,)
    ).fetchone()
    if found == (True,):
        return
    partitions = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", (table,)
    ).fetchall()
    for (partition,) in partitions:
        own = sql.Identifier(f"{partition}_{name.removeprefix(f'{table}_')}")
        # What an attempt that died has left is no index.
        connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(own))
        connection.execute(
            sql.SQL("CREATE INDEX CONCURRENTLY {} ON {} ({})").format(
                own, sql.Identifier(partition), sql.SQL(columns)
            )
        )
    connection.execute(
        sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(
            sql.Identifier(name), sql.Identifier(table), sql.SQL(columns)
        )
    )


@contextmanager
def _backend(
    url: str,
) -> Iterator[tuple[psycopg.Connection, yoyo.backends.base.DatabaseBackend, yoyo.migrations.MigrationList]]:
    with (
        psycopg.connect(url, autocommit=True) as connection,
        as_file(files("heliograph.tracker") / "migrations") as folder,
    ):
        # Asked again and again: one statement that waits for the lock would itself be what the making of an
        # index concurrently waits for.
        while connection.execute("SELECT pg_try_advisory_lock(%s)", (MIGRATION_LOCK,)).fetchone() != (True,):
            time.sleep(LOCK_EVERY_S)
        scheme, rest = url.split("://", 1)
        backend = yoyo.get_backend(
            f"{scheme.replace('postgres', 'postgresql', scheme == 'postgres')}+psycopg://{rest}"
        )
        with backend:
            # A process that was killed while migrating may have left the tool's own lock behind.
            backend.break_lock()
            yield connection, backend, yoyo.read_migrations(str(folder))
