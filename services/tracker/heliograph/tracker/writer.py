"""Group commit: the rows of all shards of the process share transactions.

A transaction starts as soon as the one before it has ended and takes what waits by then, at most `limit`
rows. So a lone row is durable after one short transaction, and the batches grow with the load by themselves,
from one row to `limit`; no row waits for others to come.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence

import psycopg

from heliograph.common import metrics
from heliograph.common.errors import HeliographError, PoisonError, UnavailableError
from heliograph.tracker import leases
from heliograph.tracker.database import Database
from heliograph.tracker.ending import end
from heliograph.tracker.leases import Lease
from heliograph.tracker.partitions import Partitions
from heliograph.tracker.rows import Row
from heliograph.tracker.storing import store

REFUSED_SHOWN = 200


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


Item = tuple[Request, Row]


class Writer:
    """The process's one writer of signals, reasons and outcomes."""

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._waiting: deque[Request] = deque()
        self._wake = asyncio.Event()
        self._partitions = Partitions()
        self._newest = leases.Newest(database)
        self._task: asyncio.Task[None] | None = None
        self.transactions = 0
        self.rows = 0

    def start(self) -> None:
        """Begin to write what comes."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; every caller of `write` has its answer by then, since shards are closed before."""
        await end(self._task)
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
        self._wake.set()
        return await request.done

    async def check(self, lease: Lease) -> None:
        """Nothing, when the shard may still be written under the lease.

        Raises:
            FencedError: another member has taken the shard.
            UnavailableError: Postgres is away.
        """
        await self._newest.check(lease)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._flush(self._take())

    def _take(self) -> list[Request]:
        taken = [self._waiting.popleft()]
        rows = len(taken[0].rows)
        while self._waiting and rows + len(self._waiting[0].rows) <= self._limit:
            taken.append(self._waiting.popleft())
            rows += len(taken[-1].rows)
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
        except (psycopg.DataError, psycopg.IntegrityError) as error:
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
            held, new = await store(connection, [(request.lease, row) for request, row in items])
        for request, row in items:
            if request.lease not in held:
                request.error = leases.fenced(request.lease)
            elif (row.table, row.key) in new:
                request.new.add(row.key)
        self._count(new, time.perf_counter() - started)

    def _count(self, new: set[tuple[str, str]], seconds: float) -> None:
        self.transactions += 1
        self.rows += len(new)
        metrics.WRITE_SECONDS.labels("postgres").observe(seconds)
        for table, count in Counter(table for table, _ in new).items():
            metrics.ROWS_WRITTEN.labels("postgres", table).inc(count)
