"""Migrations on the real Postgres: forward, back, and two at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.resources import as_file, files
from itertools import count
from typing import Any

import psycopg
import pytest
import yoyo
from yoyo.backends.base import DatabaseBackend

from heliograph.common.errors import PoisonError
from heliograph.common.events import Signal
from heliograph.common.service import Delivery
from heliograph.tracker import leases, schema
from heliograph.tracker.database import Database
from heliograph.tracker.partitions import archive, following, month_of, preceding, start_ns
from heliograph.tracker.rows import signal_row
from heliograph.tracker.verification import Verification, VerifyQuery
from heliograph.tracker.writer import Writer

MIGRATIONS = sum(
    file.name.endswith((".sql", ".py")) and not file.name.endswith(".rollback.sql")
    for file in (files("heliograph.tracker") / "migrations").iterdir()
)
OURS = """SELECT c.relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace
    AND relname NOT LIKE '%%yoyo%%' UNION ALL
    SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"""


def objects(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute(OURS).fetchall()]


def roll_back(url: str) -> int:
    """Take every migration back, as an operator does with the tool; how many there were."""
    scheme, rest = url.split("://", 1)
    with (
        as_file(files("heliograph.tracker") / "migrations") as folder,
        yoyo.get_backend(f"{scheme}+psycopg://{rest}") as backend,
        backend.lock(),
    ):
        due = backend.to_rollback(yoyo.read_migrations(str(folder)))
        backend.rollback_migrations(due)
        return len(due)


def test_migrations_go_forward_and_back_and_forward(empty_database: str) -> None:
    assert objects(empty_database) == []
    assert schema.migrate(empty_database) == MIGRATIONS
    made = objects(empty_database)
    assert {"signals", "reasons", "outcomes", "unfinished", "shard_leases", "refuse_change"} <= set(made)
    assert schema.migrate(empty_database) == 0
    assert roll_back(empty_database) == MIGRATIONS
    assert objects(empty_database) == []
    assert schema.migrate(empty_database) == MIGRATIONS
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
    assert sorted(applied) == [0, 0, 0, MIGRATIONS]


def test_a_process_killed_while_migrating_does_not_block_the_next(empty_database: str) -> None:
    schema.migrate(empty_database)
    roll_back(empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)")
    assert schema.migrate(empty_database) == MIGRATIONS


class Killed(BaseException):
    """The end of a process."""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], AbstractContextManager[Any]]:
    """The process dies where the tool notes something down for the n-th time."""

    @contextmanager
    def at(name: str, number: int) -> Iterator[None]:
        note, calls = getattr(DatabaseBackend, name), count(1)

        def killed(backend: DatabaseBackend, *args: Any, **options: Any) -> None:
            if next(calls) == number:
                raise Killed
            note(backend, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(DatabaseBackend, name, killed)
            yield

    return at


@pytest.mark.parametrize("number", range(1, MIGRATIONS + 1))
def test_a_migration_is_done_and_noted_down_together(
    empty_database: str, number: int, dying: Callable[[str, int], AbstractContextManager[Any]]
) -> None:
    with dying("mark_one", number), pytest.raises(Killed):
        schema.migrate(empty_database)
    assert schema.migrate(empty_database) == MIGRATIONS - number + 1


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


async def test_indexes_that_came_later_are_made_partition_by_partition(
    empty_database: str, make_signal: Callable[..., Signal], deliver: Callable[..., Delivery]
) -> None:
    """As on a record that had rows before the index, and where an attempt to make it died in the middle."""
    database = Database(empty_database, size=1, overflow=1)
    await database.open()
    writer = Writer(database, 10)
    writer.start()
    lease = await leases.take(database, 4, 1, "one")
    for number in (1, 2):
        signal = make_signal(number, ts=start_ns((2018, number)))
        await writer.write(lease, [signal_row(lease, deliver(signal, number))])
    await writer.close()
    await database.fetch("DROP INDEX signals_regime_ts")
    await database.fetch("CREATE INDEX signals_y2018m01_regime_ts ON signals_y2018m01 (regime)")
    assert schema.migrate(empty_database) == 0
    rows = await database.fetch(
        """SELECT i.indrelid::regclass::text, i.indisvalid,
            pg_get_indexdef(i.indexrelid) ~ '\\(regime, ts\\)$'
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relname ~ '^signals.*regime_ts' AND c.relname !~ 'archived' ORDER BY 1"""
    )
    assert rows == [
        ("signals", True, True),
        ("signals_y2018m01", True, True),
        ("signals_y2018m02", True, True),
        ("signals_y2018m03", True, True),
    ]
    await database.close()


# The questions that the indexes are for, by their numbers in the list of what is asked of them.
QUESTIONS = {
    "E14": ("SELECT 1 FROM signals WHERE symbol = 'A' AND ts >= 5", "symbol_ts"),
    "E15": ("SELECT 1 FROM signals WHERE created > now()", "created"),
    "E16": ("SELECT 1 FROM signals WHERE regime = 'BULL'", "regime_ts"),
    "newest outcomes": (
        "SELECT 1 FROM outcomes WHERE (ts, id) < (5, 'a') ORDER BY ts DESC, id DESC LIMIT 10",
        "outcomes_ts",
    ),
    "E19": ("SELECT 1 FROM unfinished WHERE symbol = 'A' AND ts >= 5 AND action = 'BUY'", "symbol_ts"),
}


@pytest.mark.parametrize("number", QUESTIONS)
async def test_a_question_is_answered_by_its_index(
    number: str, database: Database, ended_signal: Signal
) -> None:
    question, index = QUESTIONS[number]
    async with database.connection() as connection:
        await connection.execute("SET enable_seqscan = off")
        cursor = await connection.execute(f"EXPLAIN {question}".encode())
        plan = "\n".join(line for (line,) in await cursor.fetchall())
        await connection.execute("RESET enable_seqscan")
    assert index in plan or index.replace("_", "") in plan.replace("_", ""), plan


async def test_open_signals_are_found_by_symbol(database: Database, ended_signal: Signal) -> None:
    rows = await database.fetch("SELECT signal, symbol, action FROM unfinished")
    assert rows == [(ended_signal.id, "A", "BUY")]


async def test_old_months_are_archived_and_still_read(
    database: Database,
    writer: Writer,
    make_signal: Callable[..., Signal],
    deliver: Callable[..., Delivery],
) -> None:
    """January to April 2018, kept from March on; in February a signal is not finished."""
    lease = await leases.take(database, 4, 1, "one")
    made = [make_signal(1, ts=start_ns((2018, 1)) + 1)]
    for n in range(2, 5):
        made.append(make_signal(n, ts=start_ns((2018, n)) + n, prev_sha256=made[-1].sha256))
    await writer.write(lease, [signal_row(lease, deliver(s, n)) for n, s in enumerate(made)])
    ids = [s.id for s in made]
    await database.fetch("DELETE FROM unfinished WHERE signal <> %s", (ids[1],))
    april = start_ns((2018, 4)) + 1
    async with database.connection() as connection:
        assert await archive(connection, 2, april) == ["signals_y2018m01"]
        assert await archive(connection, 2, april) == []
    assert await database.fetch("SELECT id FROM signals_archived") == [(ids[0],)]
    assert await database.fetch("SELECT id FROM every_signal ORDER BY ts") == [(i,) for i in ids]
    page = await Verification(database).page(VerifyQuery(full=True))
    assert (page.rows, page.findings) == (4, [])
    for change in (
        "DELETE FROM signals_archived",
        "TRUNCATE signals_y2018m01",
        "DELETE FROM signals_y2018m01",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation):
            await database.fetch(change)
    late = make_signal(9, ts=start_ns((2018, 1)) + 9)
    with pytest.raises(PoisonError, match="no partition"):
        await writer.write(lease, [signal_row(lease, deliver(late, 9))])


async def test_going_back_brings_archived_months_back(
    empty_database: str, make_signal: Callable[..., Signal], deliver: Callable[..., Delivery]
) -> None:
    database = Database(empty_database, size=1, overflow=1)
    await database.open()
    writer = Writer(database, 10)
    writer.start()
    lease = await leases.take(database, 4, 1, "one")
    signal = make_signal(1, ts=start_ns((2018, 1)))
    await writer.write(lease, [signal_row(lease, deliver(signal, 1))])
    await writer.close()
    await database.fetch("DELETE FROM unfinished")
    async with database.connection() as connection:
        assert await archive(connection, 1, start_ns((2018, 2))) == ["signals_y2018m01"]
    await database.close()
    with psycopg.connect(empty_database) as connection:
        script = files("heliograph.tracker") / "migrations" / "0005.partitions.rollback.sql"
        connection.execute(script.read_text().encode())
        assert connection.execute("SELECT id FROM signals").fetchall() == [(signal.id,)]
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute("DELETE FROM signals_y2018m01")


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
    assert preceding(following(month)) == month
    assert start_ns(month) <= ts < start_ns(following(month)) or month == (2262, 4)
