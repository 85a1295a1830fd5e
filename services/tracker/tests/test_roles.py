"""The tracker's role may add to the record and read it, and nothing else; that is enough for its work."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.events import BarBatch, Reason, Signal
from heliograph.common.service import Context, Delivery
from heliograph.tracker import refusals, roles
from heliograph.tracker.database import Database
from heliograph.tracker.service import TrackerService
from heliograph.tracker.settings import TrackerSettings

ROLE = "heliograph_tracker"


@pytest.fixture
def role_url(postgres: Any, empty_database: str) -> Iterator[str]:
    """The URL of a role without any privilege of its own."""
    with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(ROLE)))
    yield empty_database.replace("postgres:@", f"{ROLE}:@")
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(ROLE)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(ROLE)))


@pytest.fixture
def limited(role_url: str, empty_database: str, tracker_settings: TrackerSettings) -> TrackerSettings:
    """Settings with an owner and a role of its own for the tracker."""
    assert conninfo_to_dict(role_url)["user"] == ROLE
    own = {"postgres_url": role_url, "postgres_owner_url": empty_database}
    return tracker_settings.model_copy(update=own)


async def test_with_its_few_rights_the_tracker_does_all_its_work(
    limited: TrackerSettings,
    role_url: str,
    bus: Bus,
    make_signal: Callable[..., Signal],
    make_bars: Callable[..., BarBatch],
    make_reason: Callable[..., Reason],
    deliver: Callable[..., Delivery],
) -> None:
    service = TrackerService()
    await service.start(Context(name="tracker", member="one", settings=limited, bus=bus, clock=SYSTEM_CLOCK))
    processor = service.processor(1)
    await processor.open()
    signals = [make_signal(0, symbol="S0")]
    for n in range(1, 40):
        signals.append(make_signal(n, symbol=f"S{n}", prev_sha256=signals[-1].sha256))
    await processor.handle("signals", [deliver(s, n) for n, s in enumerate(signals, 1)])
    await processor.handle("reasons", [deliver(make_reason(s), n) for n, s in enumerate(signals, 1)])
    win = make_bars(50, {s.symbol: (101.0, 111.0, 100.0, 108.0) for s in signals})
    await processor.handle("bars", [deliver(win, 1)])
    stats = await bus.request("query.tracker.stats", {})
    assert (stats["signals"], stats["reasons"], stats["outcomes"], stats["open"]) == (40, 40, 40, 0)
    await service._integrity.look()  # type: ignore[union-attr]
    page = await bus.request("query.tracker.verify", {"full": True})
    assert (page["rows"], page["findings"]) == (120, [])
    await service.stop()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE signals SET v = 2",
        "DELETE FROM outcomes",
        "TRUNCATE reasons",
        "DELETE FROM ledger",
        "DROP TABLE signals",
        "ALTER TABLE signals DISABLE TRIGGER ALL",
        "CREATE TABLE mine (x int)",
        "SET session_replication_role = replica",
        "SELECT setval('refusal_tickets', 1)",
    ],
)
async def test_its_role_may_not_change_the_record(
    statement: str, limited: TrackerSettings, role_url: str
) -> None:
    database = Database(role_url, owner_url=limited.postgres_owner_url, size=1, overflow=1)
    await database.open()
    await database.close()
    with psycopg.connect(role_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


@pytest.fixture
def reader_url(role_url: str, empty_database: str) -> Iterator[str]:
    """The URL of the role for questions."""
    reader = sql.Identifier(roles.READER)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(reader))
    yield role_url.replace(ROLE, roles.READER)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(reader))
        connection.execute(sql.SQL("DROP ROLE {}").format(reader))


async def test_the_role_for_questions_reads_every_table_and_changes_none(
    limited: TrackerSettings, role_url: str, reader_url: str
) -> None:
    database = Database(role_url, owner_url=limited.postgres_owner_url, size=1, overflow=1)
    await database.open()
    await database.close()
    with psycopg.connect(reader_url, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM signals").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM ledger").fetchone() == (0,)
        for statement in ("INSERT INTO unfinished VALUES ('a', 1, 1, 1)", "DELETE FROM unfinished"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


async def test_questions_are_answered_by_a_replica_where_there_is_one(
    limited: TrackerSettings,
    reader_url: str,
    bus: Bus,
    make_signal: Callable[..., Signal],
    make_bars: Callable[..., BarBatch],
    deliver: Callable[..., Delivery],
) -> None:
    """The replica is the same server, asked as a role that may read and nothing else."""
    settings = limited.model_copy(update={"postgres_read_url": reader_url})
    service = TrackerService()
    await service.start(Context(name="tracker", member="one", settings=settings, bus=bus, clock=SYSTEM_CLOCK))
    processor = service.processor(1)
    await processor.open()
    signal = make_signal(0)
    await processor.handle("signals", [deliver(signal, 1)])
    win = make_bars(1, {signal.symbol: (101.0, 111.0, 100.0, 108.0)})
    await processor.handle("bars", [deliver(win, 1)])
    questions: dict[str, dict[str, Any]] = {
        "signals": {},
        "signal": {"id": signal.id},
        "stats": {},
        "statistics": {},
        "quality": {"id": signal.id},
        "outcomes": {},
        "symbols": {},
        "performance": {},
        "calibration": {},
        "sources": {},
    }
    for name, body in questions.items():
        assert await bus.request(f"query.tracker.{name}", body)
    assert (await bus.request("query.tracker.stats", {}))["wins"] == 1
    assert (await bus.request("query.tracker.refusals", {}))["total"] == 0  # which the record itself answers
    assert (await bus.request("query.tracker.proof", {"id": signal.id}))["ok"]
    with psycopg.connect(reader_url, autocommit=True) as connection:
        asked = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND application_name = %s",
            (roles.READER, "heliograph-tracker"),
        ).fetchone()
    assert asked is not None
    assert asked[0] > 0
    assert await service.problems() == {}
    await service.stop()


async def test_a_replica_that_is_away_keeps_nothing_from_the_record(
    limited: TrackerSettings,
    bus: Bus,
    make_signal: Callable[..., Signal],
    deliver: Callable[..., Delivery],
) -> None:
    away = "postgresql://nobody@127.0.0.1:1/nothing"
    settings = limited.model_copy(update={"postgres_read_url": away})
    service = TrackerService()
    await service.start(Context(name="tracker", member="one", settings=settings, bus=bus, clock=SYSTEM_CLOCK))
    processor = service.processor(1)
    await processor.open()
    await processor.handle("signals", [deliver(make_signal(0), 1)])
    assert processor.open_signals == 1
    assert list(await service.problems()) == ["postgres for questions"]
    await service.stop()


async def test_a_change_that_gets_past_the_rights_is_still_recorded(
    limited: TrackerSettings, role_url: str, empty_database: str
) -> None:
    """The owner grants too much: the trigger refuses, and records although the role may not write there."""
    database = Database(role_url, owner_url=limited.postgres_owner_url, size=1, overflow=1)
    await database.open()
    with psycopg.connect(empty_database) as connection:
        connection.execute(sql.SQL("GRANT DELETE ON outcomes TO {}").format(sql.Identifier(ROLE)))
    with psycopg.connect(role_url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("DELETE FROM outcomes")
    (found,) = await refusals.collect(database)
    assert (found.role, found.operation, found.relation) == (ROLE, "DELETE", "outcomes")
    await database.close()
