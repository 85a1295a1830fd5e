"""ClickHouse, inside this process or as a server: the same calls, each in the one thread that talks to it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa
import structlog

from heliograph.archiver import address
from heliograph.archiver.connection import connect
from heliograph.archiver.folder_lock import FolderLock
from heliograph.archiver.replication import Replication
from heliograph.archiver.tiers import Tier
from heliograph.common import metrics
from heliograph.common.errors import (
    ConfigError,
    HeliographError,
    PoisonError,
    UnavailableError,
)

LOCK_POLL_S = 0.2
CHECK_S = 2.0
"""A call that succeeded so lately vouches for the store."""
DATA_CODES = frozenset({6, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 131, 190, 321, 349, 407, 469})
"""Error codes that blame the rows themselves (ClickHouse, src/Common/ErrorCodes.cpp): cannot parse, type
mismatch, out of bounds, incorrect data, too large, NULL, violated constraint. Others may pass."""
ACCESS_CODES = frozenset({192, 193, 194, 516})
"""Unknown user, wrong password, required password, authentication failed."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
R = TypeVar("R")


class ClickHouse:
    """The archiver's database. Make it, `open` it, `close` it.

    Attributes:
        problem: why it cannot be used now; empty when it can.
        version: of the engine; empty before it is open.
    """

    def __init__(self, url: str, tier: Tier | None = None, replicated: Replication | None = None) -> None:
        """Raises `ConfigError` for a wrong address, and for a tier or replicas of the embedded engine."""
        self._where = address.clickhouse(url)
        if tier and isinstance(self._where, address.Embedded):
            raise ConfigError(
                f"clickhouse_cold_policy: {tier.policy!r}, expected none: the embedded engine has no volumes"
            )
        if replicated and isinstance(self._where, address.Embedded):
            raise ConfigError(
                f"clickhouse_keeper_path: {replicated.path!r}, expected none: "
                "the embedded engine has no replicas"
            )
        self._tier = tier
        self._replicated = replicated
        self._lock = FolderLock(self._where.folder) if isinstance(self._where, address.Embedded) else None
        self._thread = ThreadPoolExecutor(1, "clickhouse")
        self._client: Any = None
        self._answered = float("-inf")
        self.problem = "not yet opened"
        self.version = ""

    @property
    def embedded(self) -> bool:
        """Whether it runs inside this process."""
        return isinstance(self._where, address.Embedded)

    async def open(self) -> None:
        """Wait for the store (and, embedded, for the folder's lock), connect, and make the tables.

        Raises:
            ConfigError: the credentials are refused or the folder cannot be used.
        """
        while self._lock and not self._lock.take():
            self.problem = "standby: another process holds the data folder"
            await asyncio.sleep(LOCK_POLL_S)
        while True:
            try:
                await self._call(self._connect)
                break
            except UnavailableError as error:
                if getattr(error.__cause__, "code", None) in ACCESS_CODES:
                    raise ConfigError(f"clickhouse_url: {error}") from error
                await log.awarning("clickhouse away", error=str(error))
                await asyncio.sleep(CHECK_S)
        await log.ainfo("clickhouse open", embedded=self.embedded)

    async def close(self) -> None:
        """Disconnect; the embedded engine ends and the folder is free for another process."""
        client, self._client = self._client, None
        self.problem = "closed"
        loop = asyncio.get_running_loop()
        if client is not None:
            await loop.run_in_executor(self._thread, client.close)
        self._thread.shutdown(wait=False)
        if self._lock:
            self._lock.free()

    async def insert(self, table: str, rows: pa.Table) -> None:
        """Insert rows; when it returns they are in the table.

        Raises:
            PoisonError: the database blames the rows.
            UnavailableError: not inserted, or not all: inserting again is safe.
        """
        started = time.perf_counter()
        # One record batch: the engine makes a block of each.
        whole = rows.combine_chunks()
        await self._call(lambda: self._connected().insert_arrow(table, whole))
        metrics.WRITE_SECONDS.labels("clickhouse").observe(time.perf_counter() - started)
        metrics.ROWS_WRITTEN.labels("clickhouse", table).inc(rows.num_rows)

    async def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The result of a query, a tuple a row; `{name:Type}` in it takes `parameters[name]`.

        Raises:
            UnavailableError: the store cannot answer.
        """
        found = await self._call(
            lambda: self._connected().query(sql, parameters=dict(parameters or {})).result_rows
        )
        return [tuple(row) for row in found]

    async def arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The result of a query by columns.

        Raises:
            UnavailableError: the store cannot answer.
        """
        query = {"parameters": dict(parameters or {}), "use_strings": True}
        return await self._call(lambda: self._connected().query_arrow(sql, **query))

    async def catch_up(self, table: str) -> None:
        """Wait until this replica has what any replica had of a table; at once where none is replicated.

        Raises:
            UnavailableError: it cannot have it now.
        """
        if self._replicated:
            await self.rows(f"SYSTEM SYNC REPLICA {table} LIGHTWEIGHT")

    async def check(self) -> str:
        """Why it cannot be used; empty when it answers, or has answered within two seconds."""
        if self._client is not None and time.monotonic() - self._answered > CHECK_S:
            try:
                async with asyncio.timeout(CHECK_S):
                    await self.rows("SELECT 1")
            except TimeoutError:
                return self.problem or f"has not answered for {time.monotonic() - self._answered:.0f} s"
            except HeliographError as error:
                return str(error)
        return self.problem

    def _connected(self) -> Any:
        if self._client is None:
            raise UnavailableError("clickhouse: not open")
        return self._client

    def _connect(self) -> None:
        self._client = connect(self._where, self._tier, self._replicated)
        self.version = str(self._client.server_version)

    async def _call(self, work: Callable[[], R]) -> R:
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except HeliographError:
            raise
        except RuntimeError as error:
            raise UnavailableError(f"clickhouse: {error}") from error
        except Exception as error:
            failure = translate(error)
            if isinstance(failure, UnavailableError):
                self.problem = str(failure)
            raise failure from error
        self._answered = time.monotonic()
        self.problem = ""
        return result


def translate(error: Exception) -> HeliographError:
    """What an error of the client means here."""
    code = getattr(error, "code", None)
    text = f"clickhouse: {str(error)[:500] or repr(error)}"
    if code in DATA_CODES:
        return PoisonError(text)
    return UnavailableError(text)
