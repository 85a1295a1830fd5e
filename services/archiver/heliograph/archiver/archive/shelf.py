"""What one process knows of an archive: its threads, its store, and the days it has seen."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from heliograph.archiver.archive.day_store import DayStore
from heliograph.archiver.archive.object_store import ObjectStore
from heliograph.archiver.archive.parquet import Manifest
from heliograph.archiver.schema import EVENT_TABLES

P = ParamSpec("P")
R = TypeVar("R")


class Shelf:
    """What is known of one table's days."""

    def __init__(self) -> None:
        self.since = 0
        self.changed: set[str] = set()
        self.looked: set[str] = set()
        self.manifests: dict[str, Manifest] = {}


class Shelves:
    """The shelves of all tables over one store, and the threads that call it.

    Attributes:
        running: whoever reads or changes days holds it, so that no one sees another's half.
        store: its calls block: they are made by `in_thread` and `all`.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self.running = asyncio.Lock()
        self.store = DayStore(objects)
        self._parallel = objects.parallel
        self._threads = ThreadPoolExecutor(objects.parallel, "archive")
        self._shelves = {table.name: Shelf() for table in EVENT_TABLES}

    def of(self, table: str) -> Shelf:
        """The shelf of a table."""
        return self._shelves[table]

    def manifests(self) -> list[Manifest]:
        """Every manifest that this process has seen."""
        return [manifest for shelf in self._shelves.values() for manifest in shelf.manifests.values()]

    async def in_thread(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a call that blocks."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))

    async def all(
        self, work: Callable[..., R], arguments: Sequence[tuple[Any, ...]]
    ) -> tuple[list[R], list[Exception]]:
        """Do some work in the threads; what was done and what failed, when all has ended."""
        # A share for each thread and not a turn for each object: most objects take less than a turn does.
        shares = [arguments[first :: self._parallel] for first in range(self._parallel)]
        ends = await asyncio.gather(*(self.in_thread(_each, work, share) for share in shares if share))
        return [done for end in ends for done in end[0]], [failure for end in ends for failure in end[1]]

    def close(self) -> None:
        """End the threads; what is under way ends with the object in hand."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _each(work: Callable[..., R], arguments: Sequence[tuple[Any, ...]]) -> tuple[list[R], list[Exception]]:
    """Do some work on each; what was done and what failed."""
    done: list[R] = []
    failures: list[Exception] = []
    for each in arguments:
        try:
            done.append(work(*each))
        except Exception as failure:
            failures.append(failure)
    return done, failures
