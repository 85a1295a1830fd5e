"""The schema of the tracker's database: migrations forward and back, one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files

import psycopg
import yoyo

MIGRATION_LOCK = 0x6865_6C69_6F01
"""Advisory lock of the migrations. The server lets go of it when its holder dies, unlike a row in a table."""


def migrate(url: str) -> int:
    """Bring the schema to the newest version; how many migrations that took.

    Raises:
        psycopg.OperationalError: the server is away.
    """
    with _backend(url) as (backend, migrations):
        due = backend.to_apply(migrations)
        backend.apply_migrations(due)
        return len(due)


def roll_back(url: str) -> int:
    """Take every migration back, with all the data; how many there were.

    Raises:
        psycopg.OperationalError: the server is away.
    """
    with _backend(url) as (backend, migrations):
        due = backend.to_rollback(migrations)
        backend.rollback_migrations(due)
        return len(due)


@contextmanager
def _backend(url: str) -> Iterator[tuple[yoyo.backends.base.DatabaseBackend, yoyo.migrations.MigrationList]]:
    with (
        psycopg.connect(url, autocommit=True) as connection,
        as_file(files("heliograph.tracker") / "migrations") as folder,
    ):
        connection.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        scheme, rest = url.split("://", 1)
        backend = yoyo.get_backend(
            f"{scheme.replace('postgres', 'postgresql', scheme == 'postgres')}+psycopg://{rest}"
        )
        with backend:
            # A process that was killed while migrating may have left the tool's own lock behind.
            backend.break_lock()
            yield backend, yoyo.read_migrations(str(folder))
