"""Changes of the record are refused, and recorded although their transactions are rolled back."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from heliograph.common.bus import Bus
from heliograph.common.events import Signal
from heliograph.tracker import refusals
from heliograph.tracker.database import Database
from heliograph.tracker.service import TrackerService

RECORD = (
    "signals",
    "reasons",
    "outcomes",
    "ledger",
    "day_roots",
    "integrity_checks",
    "refusals",
    "signals_archived",
)
CHANGES = {
    "UPDATE": "UPDATE {} SET created = now()",
    "DELETE": "DELETE FROM {}",
    "TRUNCATE": "TRUNCATE {}",
}


@pytest.fixture
async def counted(database: Database) -> int:
    """The newest ticket before the test."""
    await refusals.collect(database)
    total, newest = await refusals.newest(database, 1)
    return newest[0].ticket if total else 0


@pytest.mark.parametrize("table", RECORD)
@pytest.mark.parametrize("operation", CHANGES)
async def test_every_change_is_refused_and_recorded(
    operation: str, table: str, database: Database, migrated: str, ended_signal: Signal, counted: int
) -> None:
    started = datetime.now(UTC)
    with psycopg.connect(migrated) as connection:
        process = connection.info.backend_pid
        with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
            connection.execute(CHANGES[operation].format(table))
        connection.rollback()
    assert await database.fetch("SELECT count(*) FROM signals") == [(1,)]
    (found,) = await refusals.collect(database)
    assert (found.ticket, found.operation, found.relation) == (counted + 1, operation, table)
    assert (found.role, found.process) == ("postgres", process)
    assert found.moment is not None
    assert started - timedelta(seconds=1) < found.moment < datetime.now(UTC) + timedelta(seconds=1)
    assert await refusals.collect(database) == []


@pytest.mark.parametrize("operation", CHANGES)
async def test_a_partition_named_by_itself_is_protected_too(
    operation: str, database: Database, ended_signal: Signal, counted: int
) -> None:
    ((partition,),) = await database.fetch("SELECT tableoid::regclass::text FROM signals")
    with pytest.raises(psycopg.errors.RestrictViolation):
        await database.fetch(CHANGES[operation].format(partition))
    (found,) = await refusals.collect(database)
    assert (found.operation, found.relation) == (operation, partition)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE signals SET v = 2 WHERE false",
        "INSERT INTO reasons SELECT * FROM reasons ON CONFLICT (signal) DO UPDATE SET v = 2",
        "MERGE INTO signals s USING reasons r ON s.id = r.signal WHEN MATCHED THEN DELETE",
    ],
)
async def test_other_ways_to_change_are_refused(
    statement: str, database: Database, ended_signal: Signal, counted: int
) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation):
        await database.fetch(statement)
    assert len(await refusals.collect(database)) == 1


async def test_more_than_there_are_slots_are_counted(
    database: Database, migrated: str, ended_signal: Signal, counted: int
) -> None:
    with psycopg.connect(migrated, autocommit=True) as connection:
        for _ in range(20):
            with pytest.raises(psycopg.errors.RestrictViolation):
                connection.execute("DELETE FROM signals")
    found = await refusals.collect(database)
    assert [refusal.ticket for refusal in found] == list(range(counted + 1, counted + 21))
    assert [refusal.operation for refusal in found] == [None] * 4 + ["DELETE"] * 16
    total, newest = await refusals.newest(database, 3)
    assert total >= 20
    assert [refusal.ticket for refusal in newest] == [counted + 20, counted + 19, counted + 18]


async def test_many_at_once_are_each_recorded(
    database: Database, migrated: str, ended_signal: Signal, counted: int
) -> None:
    def change() -> None:
        with psycopg.connect(migrated) as connection:
            for _ in range(3):
                with pytest.raises(psycopg.errors.RestrictViolation):
                    connection.execute("TRUNCATE outcomes")
                connection.rollback()

    threads = [threading.Thread(target=change) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = await refusals.collect(database)
    assert [(r.ticket - counted, r.operation) for r in found] == [(n, "TRUNCATE") for n in range(1, 16)]


async def test_a_savepoint_does_not_hide_a_refusal(
    database: Database, migrated: str, ended_signal: Signal, counted: int
) -> None:
    with psycopg.connect(migrated) as connection:
        with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
            connection.execute("DELETE FROM outcomes")
        connection.execute("CREATE TABLE goes_on (x int)")
        connection.rollback()
    assert [r.operation for r in await refusals.collect(database)] == ["DELETE"]


async def test_the_tracker_tells_of_them(
    tracker: TrackerService, bus: Bus, database: Database, ended_signal: Signal
) -> None:
    before = await bus.request("query.tracker.refusals", {"limit": 0})
    with pytest.raises(psycopg.errors.RestrictViolation):
        await database.fetch("DELETE FROM signals")
    after = await bus.request("query.tracker.refusals", {"limit": 1})
    assert after["total"] == before["total"] + 1
    assert (after["newest"][0]["operation"], after["newest"][0]["relation"]) == ("DELETE", "signals")
