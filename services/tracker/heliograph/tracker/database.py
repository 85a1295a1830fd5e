"""The tracker's way to Postgres: a pool that survives the server's restart."""

import asyncio
import select
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, LiteralString
from weakref import WeakKeyDictionary

import psycopg
import structlog
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from heliograph.common.errors import UnavailableError
from heliograph.tracker import copying, roles, schema

CHECKOUT_TIMEOUT_S = 30.0
MAX_LIFETIME_S = 3600.0
RECONNECT_S = 5.0
"""How long one attempt to reconnect may go on with growing pauses; the next request begins a new one. Much
longer, and the pool would stay asleep for minutes after the server is back."""
PING_TIMEOUT_S = 2.0
TEST_EVERY_S = 300.0
"""How long a connection is taken for whole while its socket is silent: what lies between may forget it."""
SESSION = "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000 -c timezone=UTC"
CONNECT_TIMEOUT_S = 5
SLOW_S = 1.0
SHOWN = 100
PAUSE_S, PAUSE_MAX_S = 0.1, 2.0

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
"""What is raised when the server cannot do it now, also when it dies in the middle of something."""


@contextmanager
def available() -> Iterator[None]:
    """Turn "the server cannot do it now" into UnavailableError; errors of the data or of a statement pass."""
    try:
        yield
    except AWAY as error:
        raise UnavailableError(f"postgres: {type(error).__name__}: {error}") from error


def _spoken(connection: Connection) -> bool:
    """Whether the server has sent something unasked, as it does when it goes."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Database:
    """A pool of connections in autocommit mode; UnavailableError while Postgres is away."""

    def __init__(
        self,
        url: str,
        *,
        owner_url: str = "",
        size: int = 10,
        overflow: int = 20,
        timeout: float = CHECKOUT_TIMEOUT_S,
    ) -> None:
        self._url = url
        self._owner_url = owner_url
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=size,
            max_size=size + overflow,
            timeout=timeout,
            max_lifetime=MAX_LIFETIME_S,
            reconnect_timeout=RECONNECT_S,
            check=self._check,
            configure=copying.prepare,
            kwargs={
                "autocommit": True,
                "options": SESSION,
                "connect_timeout": CONNECT_TIMEOUT_S,
                "application_name": "heliograph-tracker",
            },
            open=False,
            name="tracker",
        )
        self.version = ""
        self._checked: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()

    async def open(self) -> None:
        """Wait until the server is there, bring the schema up to date, and fill the pool."""
        pause = PAUSE_S
        while True:
            try:
                applied = await asyncio.to_thread(schema.migrate, self._owner_url or self._url)
                if self._owner_url:
                    await asyncio.to_thread(roles.grant, self._owner_url, self._url)
                break
            except AWAY as error:
                await log.awarning("waiting for postgres", error=str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_MAX_S)
        await self._pool.open()
        ((self.version,),) = await self.fetch("SELECT current_setting('server_version')")
        await log.ainfo("postgres", version=self.version, migrations=applied)

    async def open_for_questions(self) -> None:
        """Begin to connect, to a replica that is migrated by another server and may be away."""
        await self._pool.open()

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def _check(self, connection: Connection) -> None:
        """Whether a connection still works; the pool replaces it if this raises.

        A server that goes away closes it, which the socket shows: asking each time would cost as much as a
        small query does, just when rows wait.
        """
        now = time.monotonic()
        if _spoken(connection) or now - self._checked.get(connection, float("-inf")) > TEST_EVERY_S:
            await AsyncConnectionPool.check_connection(connection)
            self._checked[connection] = now

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[Connection]:
        """A connection for the caller alone, tested before use; `timeout` in seconds, else the pool's.

        Raises:
            UnavailableError: none can be had in time, or the server fails while it is used.
        """
        with available():
            async with self._pool.connection(timeout) as connection:
                yield connection

    async def fetch(
        self, query: LiteralString | sql.Composed, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[Any, ...]]:
        """All rows of a statement; one that takes over a second is logged.

        Raises:
            UnavailableError: the server is away or the statement took too long.
        """
        started = time.perf_counter()
        async with self.connection() as connection:
            cursor = await connection.execute(query, parameters)
            rows = await cursor.fetchall() if cursor.description else []
        seconds = time.perf_counter() - started
        if seconds > SLOW_S:
            text = query if isinstance(query, str) else query.as_string()
            await log.awarning("slow query", seconds=round(seconds, 3), query=" ".join(text.split())[:SHOWN])
        return rows

    async def ping(self) -> None:
        """Ask whether the server answers, soon.

        Raises:
            UnavailableError: it does not.
        """
        async with self.connection(PING_TIMEOUT_S) as connection:
            await connection.execute("SELECT 1")

    def stats(self) -> dict[str, int]:
        """Figures of the pool: open connections, and requests that wait for one."""
        found = self._pool.get_stats()
        return {"connections": found.get("pool_size", 0), "waiting": found.get("requests_waiting", 0)}
