"""Migrations on the real Postgres: forward, back, and two at once."""

import threading

import psycopg
import pytest

from heliograph.common.events import Signal
from heliograph.tracker import schema
from heliograph.tracker.database import Database
from heliograph.tracker.partitions import following, month_of, start_ns
from heliograph.tracker.writer import Writer

OURS = """SELECT c.relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace
    AND relname NOT LIKE '%%yoyo%%' UNION ALL
    SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"""


def objects(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute(OURS).fetchall()]


def test_migrations_go_forward_and_back_and_forward(empty_database: str) -> None:
    assert objects(empty_database) == []
    assert schema.migrate(empty_database) == 2
    made = objects(empty_database)
    assert {"signals", "reasons", "outcomes", "unfinished", "shard_leases", "refuse_change"} <= set(made)
    assert schema.migrate(empty_database) == 0
    assert schema.roll_back(empty_database) == 2
    assert objects(empty_database) == []
    assert schema.migrate(empty_database) == 2
    assert objects(empty_database) == made


def test_replicas_that_start_together_migrate_once(empty_database: str) -> None:
    applied: list[int] = []
    threads = [
        threading.Thread(target=lambda: applied.append(schema.migrate(empty_database))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [0, 0, 0, 2]


def test_a_process_killed_while_migrating_does_not_block_the_next(empty_database: str) -> None:
    schema.migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)")
    assert schema.roll_back(empty_database) == 2


@pytest.mark.parametrize("table", ["signals", "reasons", "outcomes"])
@pytest.mark.parametrize("change", ["UPDATE {} SET v = 2", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_record_is_append_only(
    table: str,
    change: str,
    database: Database,
    writer: Writer,
    ended_signal: Signal,
) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        async with database.connection() as connection:
            await connection.execute(change.format(table))
    assert await database.fetch("SELECT count(*) FROM signals") == [(1,)]


async def test_partitions_are_made_by_month_and_one_ahead(database: Database, writer: Writer) -> None:
    await writer.prepare(start_ns((2018, 12)))
    await writer.prepare(start_ns((2019, 1)) - 1)
    names = await database.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'signals'::regclass ORDER BY 1"
    )
    assert names == [("signals_y2018m12",), ("signals_y2019m01",)]
    await writer.prepare(start_ns((2019, 1)))
    assert await database.fetch("SELECT to_regclass('signals_y2019m02') IS NOT NULL") == [(True,)]


@pytest.mark.parametrize(
    ("ts", "month"),
    [
        (0, (1970, 1)),
        (start_ns((2000, 1)) - 1, (1999, 12)),
        (start_ns((2000, 1)), (2000, 1)),
        (2**63 - 1, (2262, 4)),
    ],
)
def test_months(ts: int, month: tuple[int, int]) -> None:
    assert month_of(ts) == month
    assert start_ns(month) <= ts < start_ns(following(month)) or month == (2262, 4)
