"""The pool's limits, on a real Postgres."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from psycopg import sql
from psycopg_pool import AsyncConnectionPool
from structlog.testing import capture_logs

from heliograph.common.errors import UnavailableError
from heliograph.tracker import database as tracked
from heliograph.tracker.database import Connection, Database
from heliograph.tracker.settings import TrackerSettings

Eventually = Callable[..., Awaitable[Any]]


async def test_a_slow_query_is_logged_with_its_first_hundred_characters(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = ", ".join(map(str, range(40)))
    monkeypatch.setattr(tracked, "SLOW_S", 1e9)
    with capture_logs() as quick:
        await database.fetch(sql.SQL("SELECT\n  {}").format(sql.SQL(numbers)))
    monkeypatch.setattr(tracked, "SLOW_S", 0.0)
    with capture_logs() as slow:
        await database.fetch(sql.SQL("SELECT\n  {}").format(sql.SQL(numbers)))
    assert [entry["event"] for entry in (*quick, *slow)] == ["slow query"]
    assert slow[0]["query"] == f"SELECT {numbers}"[:100]


async def test_over_its_size_the_pool_grows_and_then_lets_wait_for_a_time(postgres_url: str) -> None:
    pool = Database(postgres_url, size=1, overflow=2)
    await pool.open()
    async with AsyncExitStack() as held:
        for _ in range(3):
            await held.enter_async_context(pool.connection())
        assert pool.stats()["connections"] == 3
        with pytest.raises(UnavailableError, match="PoolTimeout"):
            async with pool.connection(0.2):
                raise AssertionError("a fourth one")
    assert await pool.fetch("SELECT 1") == [(1,)]
    await pool.close()


async def test_a_connection_is_replaced_when_its_time_is_over(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(tracked, "MAX_LIFETIME_S", 0.05)
    pool = Database(postgres_url, size=1, overflow=0)
    await pool.open()
    [(first,)] = await pool.fetch("SELECT pg_backend_pid()")

    async def another() -> bool:
        return await pool.fetch("SELECT pg_backend_pid()") != [(first,)]

    await eventually(another)
    await pool.close()


async def test_a_connection_that_is_silent_is_tested_only_after_a_time(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Database(postgres_url, size=1, overflow=0)
    await pool.open()
    tested: list[object] = []
    whole = AsyncConnectionPool.check_connection

    async def check(connection: Connection) -> None:
        tested.append(connection)
        await whole(connection)

    monkeypatch.setattr(AsyncConnectionPool, "check_connection", check)
    await pool.fetch("SELECT 1")
    assert tested == []
    monkeypatch.setattr(tracked, "TEST_EVERY_S", 0.0)
    await pool.fetch("SELECT 1")
    assert len(tested) == 1
    await pool.close()


def test_the_limits_are_those_of_the_design() -> None:
    assert (tracked.CHECKOUT_TIMEOUT_S, tracked.MAX_LIFETIME_S, tracked.SLOW_S) == (30.0, 3600.0, 1.0)
    settings = TrackerSettings()
    assert (settings.postgres_pool, settings.postgres_overflow) == (10, 20)
