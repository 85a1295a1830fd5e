"""Group commit: rows of many shards become few inserts, and each writer waits for its own."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec
import pyarrow as pa

from heliograph.common.errors import HeliographError, PoisonError, UnavailableError

MAX_ROWS = 100_000
"""Rows in one insert at most: it bounds the engine's memory."""
SHORTEST_WAIT_S = 0.01
WAIT_FACTOR = 4
"""Few rows wait for four times the last insert's time: inserting then takes a fifth of the time."""

Insert = Callable[[str, pa.Table], Awaitable[None]]


class _Waiting(msgspec.Struct):
    rows: pa.Table
    more: bool
    done: asyncio.Future[None]


class GroupCommit:
    """Writes to all tables. `write` may be called from many tasks at once."""

    def __init__(self, insert: Insert, *, rows: int, seconds: float) -> None:
        self._insert = insert
        self._enough = rows
        self._longest = seconds
        self._tables: dict[str, _TableQueue] = {}

    async def write(self, table: str, rows: pa.Table, *, more: bool = False) -> None:
        """Insert rows together with others' and return when they are in the table.

        They wait until there are enough, or as many writers in a backlog as the last insert served, or a
        moment that grows with the cost of an insert up to the longest.

        Args:
            table: its name.
            rows: with the table's columns.
            more: the writer has a backlog: it comes with more as soon as these are in the table.

        Raises:
            PoisonError: the database blames these rows (those beside them were inserted without them).
            UnavailableError: not inserted: writing them again is safe.
        """
        if rows.num_rows == 0:
            return
        queue = self._tables.get(table)
        if queue is None:
            queue = self._tables[table] = _TableQueue(table, self._insert, self._enough, self._longest)
        await queue.write(rows, more=more)

    async def close(self) -> None:
        """Insert what waits; later writes fail."""
        await asyncio.gather(*(queue.close() for queue in self._tables.values()))


class _TableQueue:
    def __init__(self, table: str, insert: Insert, enough: int, longest: float) -> None:
        self._table = table
        self._insert = insert
        self._enough = enough
        self._longest = longest
        self._waiting: deque[_Waiting] = deque()
        self._count = 0
        self._backlogs = 0
        self._expected = 1
        self._full = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._last_insert_s = 0.0
        self._closed = False

    async def write(self, rows: pa.Table, *, more: bool) -> None:
        if self._closed:
            raise UnavailableError(f"{self._table}: the writer is closed")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(rows, more, done))
        self._count += rows.num_rows
        self._backlogs += more
        if self._ripe():
            self._full.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"insert {self._table}")
        await done

    async def close(self) -> None:
        self._closed = True
        self._full.set()
        if self._task is not None:
            await self._task

    def _ripe(self) -> bool:
        # Where months are partitions an insert costs by the part: writers that all have a backlog are better
        # served together than each as it comes, and a lone one has nobody to wait for.
        return self._count >= self._enough or self._backlogs >= self._expected

    async def _run(self) -> None:
        """Insert until nothing waits."""
        while self._waiting:
            wait = min(self._longest, max(SHORTEST_WAIT_S, WAIT_FACTOR * self._last_insert_s))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._full.wait()
            group = self._take()
            started = asyncio.get_running_loop().time()
            await self._commit(group)
            self._last_insert_s = asyncio.get_running_loop().time() - started

    def _take(self) -> list[_Waiting]:
        group = [self._waiting.popleft()]
        count = group[0].rows.num_rows
        while self._waiting and count + self._waiting[0].rows.num_rows <= MAX_ROWS:
            group.append(self._waiting.popleft())
            count += group[-1].rows.num_rows
        self._count -= count
        served = sum(waiting.more for waiting in group)
        self._backlogs -= served
        self._expected = max(1, served)
        if not self._ripe() and not self._closed:
            self._full.clear()
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        """Insert a group; where the database blames rows, halve it until they stand alone."""
        try:
            await self._insert(self._table, pa.concat_tables([w.rows for w in group]))
        except PoisonError as error:
            if len(group) > 1:
                middle = len(group) // 2
                await self._commit(group[:middle])
                await self._commit(group[middle:])
                return
            _finish(group, error)
        except HeliographError as error:
            _finish(group, error)
        except Exception as error:
            _finish(group, UnavailableError(f"{self._table}: {error!r}"))
        else:
            _finish(group, None)


def _finish(group: list[_Waiting], error: HeliographError | None) -> None:
    for waiting in group:
        if waiting.done.done():
            continue
        if error is None:
            waiting.done.set_result(None)
        else:
            # Each waiter gets its own: one exception raised in two tasks would mix their tracebacks.
            waiting.done.set_exception(type(error)(*error.args))
