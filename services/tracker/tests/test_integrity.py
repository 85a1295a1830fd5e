"""The record looks at itself: what is due, what it finds, and who hears of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY

from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.events import Signal
from heliograph.tracker.database import Database
from heliograph.tracker.integrity import Integrity
from heliograph.tracker.service import TrackerService
from heliograph.tracker.settings import TrackerSettings

Eventually = Callable[..., Awaitable[Any]]
CHECKS = "SELECT kind, rows, jsonb_array_length(findings) FROM integrity_checks ORDER BY id"


def aged(url: str, *tables: str) -> None:
    """As if what is there had been written two days ago."""
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in tables:
            connection.execute(f"UPDATE {table} SET created = created - interval '2 days'".encode())  # noqa: S608 - our own names


@pytest.fixture
def integrity(database: Database, tracker_settings: TrackerSettings) -> Integrity:
    """One replica's checks."""
    return Integrity(database, tracker_settings, SYSTEM_CLOCK)


async def test_a_sample_by_the_hour_and_everything_by_the_day(
    integrity: Integrity, database: Database, ended_signal: Signal, migrated: str
) -> None:
    await integrity.look()
    await integrity.look()
    assert await database.fetch(CHECKS) == [("sample", 3, 0)]
    aged(migrated, "integrity_checks")
    await integrity.look()
    assert await database.fetch(CHECKS) == [("sample", 3, 0)] * 2
    aged(migrated, "signals", "reasons", "outcomes", "ledger")
    await integrity.look()
    await integrity.look()
    assert await database.fetch(CHECKS) == [("sample", 3, 0)] * 2 + [("full", 3, 0)]
    assert integrity.status()["full"]["rows"] == 3


async def test_what_it_finds_is_kept_counted_and_told(
    integrity: Integrity, database: Database, ended_signal: Signal, migrated: str
) -> None:
    aged(migrated, "signals", "reasons", "outcomes", "ledger")
    with psycopg.connect(migrated) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE outcomes SET exit = 111")
    await integrity.look()
    assert await database.fetch(CHECKS) == [("full", 3, 1), ("sample", 3, 1)]
    ((finding,),) = await database.fetch("SELECT findings -> 0 FROM integrity_checks WHERE kind = 'full'")
    assert (finding["kind"], finding["record"], finding["key"]) == ("altered", "outcomes", ended_signal.id)
    assert finding["detail"] == "exit: 111.0, expected 110.0"
    assert REGISTRY.get_sample_value("heliograph_record_findings", {"kind": "full"}) == 1
    assert integrity.status()["sample"]["findings"] == 1


async def test_days_that_are_over_get_their_root(
    integrity: Integrity, database: Database, ended_signal: Signal, migrated: str
) -> None:
    aged(migrated, "signals", "reasons", "outcomes", "ledger")
    await integrity.look()
    rows = await database.fetch("SELECT leaves, length(root) FROM day_roots ORDER BY day")
    assert rows[0] == (3, 32)
    assert [leaves for leaves, _ in rows[1:]] in ([0], [])


async def test_old_months_leave_only_when_told_to(
    database: Database, tracker_settings: TrackerSettings, ended_signal: Signal, migrated: str
) -> None:
    await database.fetch("DELETE FROM unfinished")
    await Integrity(database, tracker_settings, SYSTEM_CLOCK).look()
    assert await database.fetch("SELECT count(*) FROM signals") == [(1,)]
    aged(migrated, "integrity_checks")
    keeping = tracker_settings.model_copy(update={"signals_months": 3})
    await Integrity(database, keeping, SYSTEM_CLOCK).look()
    assert await database.fetch("SELECT (SELECT count(*) FROM signals), count(*) FROM signals_archived") == [
        (0, 1)
    ]


async def test_the_service_looks_by_itself_and_tells(
    tracker: TrackerService, bus: Bus, database: Database, ended_signal: Signal, eventually: Eventually
) -> None:
    async def checked() -> bool:
        return "sample" in (await tracker.status())["integrity"]

    await eventually(checked)
    page = await bus.request("query.tracker.verify", {"full": True})
    assert (page["rows"], page["blocks"], page["findings"]) == (3, 3, [])
    assert page["cursor"]["stage"] == "blocks"
