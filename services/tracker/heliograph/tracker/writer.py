"""Group commit: the rows of all shards of the process share transactions.

A transaction takes what waits when it starts, at most `limit` rows; two go side by side, each with shards of
its own, since a shard is written in order. So a lone row is durable after one short transaction, rows that
come just after it do not wait for its flush, and the batches grow with the load by themselves, from one row
to `limit`; no row waits for others to come.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import psycopg
import structlog

from heliograph.common import metrics
from heliograph.common.errors import HeliographError, PoisonError, UnavailableError
from heliograph.tracker import leases
from heliograph.tracker.database import SLOW_S, Database
from heliograph.tracker.ending import end
from heliograph.tracker.leases import Lease
from heliograph.tracker.partitions import Partitions
from heliograph.tracker.rows import Row
from heliograph.tracker.storing import Storing

REFUSED_SHOWN = 200
LANES = 2
"""Transactions at once: one alone leaves the server or this process idle in turn."""


class Request:
    """Rows of one shard that wait to become durable, and what became of them."""

    def __init__(self, lease: Lease, rows: Sequence[Row]) -> None:
        self.lease = lease
        self.rows = rows
        self.new: set[str] = set()
        self.error: HeliographError | None = None
        self.done: asyncio.Future[set[str]] = asyncio.get_running_loop().create_future()

    def settle(self, error: BaseException | None = None) -> None:
        """Tell the one who waits, unless it has gone."""
        error = self.error or error
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(self.new)


log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Item = tuple[Request, Row]


class Writer:
    """The process's one writer of signals, reasons and outcomes."""

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._waiting: list[Request] = []
        self._flying: dict[asyncio.Task[None], set[Lease]] = {}
        self._started = False
        self._storing = Storing()
        self._partitions = Partitions()
        self._newest = leases.Newest(database)
        self.transactions = 0
        self.rows = 0

    def start(self) -> None:
        """Begin to write what comes."""
        self._started = True
        self._launch()

    async def close(self) -> None:
        """Stop; every caller of `write` has its answer by then, since shards are closed before."""
        self._started = False
        for task in list(self._flying):
            await end(task)
        for request in self._waiting:
            request.settle(UnavailableError("postgres: the writer is closed"))
        self._waiting.clear()

    async def prepare(self, now_ns: int) -> None:
        """Make the partitions of this month and the next.

        Raises:
            UnavailableError: Postgres is away.
        """
        async with self._database.connection() as connection:
            await self._partitions.ensure(connection, [now_ns])

    async def write(self, lease: Lease, rows: Sequence[Row]) -> set[str]:
        """Make rows of one shard durable, one a key; the keys of those that were not stored before.

        Raises:
            FencedError: another member has taken the shard; nothing was written.
            PoisonError: a row can never be stored; it is named, and the others are stored.
            UnavailableError: Postgres is away; some rows may be stored: write them again.
        """
        if not rows:
            return set()
        request = Request(lease, rows)
        self._waiting.append(request)
        # Not at once: writers that are woken together share the transaction.
        asyncio.get_running_loop().call_soon(self._launch)
        return await request.done

    async def check(self, lease: Lease) -> None:
        """Nothing, when the shard may still be written under the lease.

        Raises:
            FencedError: another member has taken the shard.
            UnavailableError: Postgres is away.
        """
        await self._newest.check(lease)

    def _launch(self) -> None:
        """Start the transactions that may go now."""
        while self._started and len(self._flying) < LANES:
            group = self._take()
            if not group:
                return
            task = asyncio.create_task(self._flush(group))
            self._flying[task] = {request.lease for request in group}
            task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        del self._flying[task]
        self._launch()

    def _take(self) -> list[Request]:
        """What waits, in order, of shards that are not being written; a whole transaction at most."""
        busy = set[Lease]().union(*self._flying.values())
        taken: list[Request] = []
        left: list[Request] = []
        rows, full = 0, False
        for request in self._waiting:
            if request.lease in busy:
                left.append(request)
            elif full or (taken and rows + len(request.rows) > self._limit):
                full = True
                left.append(request)
            else:
                taken.append(request)
                rows += len(request.rows)
                full = rows >= self._limit
        self._waiting = left
        return taken

    async def _flush(self, requests: list[Request]) -> None:
        error: BaseException | None = None
        try:
            await self._store([(request, row) for request in requests for row in request.rows])
        except asyncio.CancelledError:
            error = UnavailableError("postgres: the writer is closed")
            raise
        except Exception as caught:  # whatever it is, it belongs to those who wait
            error = caught
        finally:
            for request in requests:
                request.settle(error)

    async def _store(self, items: Sequence[Item]) -> None:
        """Write in one transaction; if a row is refused, halve until it stands alone."""
        try:
            await self._commit(items)
        except (psycopg.DataError, psycopg.IntegrityError, OverflowError) as error:
            if len(items) == 1:
                ((request, row),) = items
                text = " ".join(str(error).split())[:REFUSED_SHOWN]
                request.error = PoisonError(f"{row.table}: row {row.key!r} is refused: {text}")
                return
            half = len(items) // 2
            await self._store(items[:half])
            await self._store(items[half:])

    async def _commit(self, items: Sequence[Item]) -> None:
        started = time.perf_counter()
        async with self._database.connection() as connection:
            await self._partitions.ensure(connection, {row.ts for _, row in items if row.table == "signals"})
            held, new = await self._storing.store(
                connection, [(request.lease, row) for request, row in items]
            )
        for request, row in items:
            if request.lease not in held:
                request.error = leases.fenced(request.lease)
            elif (row.table, row.key) in new:
                request.new.add(row.key)
        seconds = time.perf_counter() - started
        self._count(new, seconds)
        if seconds > SLOW_S:
            tables = Counter(row.table for _, row in items)
            await log.awarning("slow write", seconds=round(seconds, 3), rows=len(items), tables=dict(tables))

    def _count(self, new: set[tuple[str, str]], seconds: float) -> None:
        self.transactions += 1
        self.rows += len(new)
        metrics.WRITE_SECONDS.labels("postgres").observe(seconds)
        for table, count in Counter(table for table, _ in new).items():
            metrics.ROWS_WRITTEN.labels("postgres", table).inc(count)
