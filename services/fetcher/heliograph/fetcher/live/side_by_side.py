"""The pages of many symbols' past, several symbols at a time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from heliograph.common.errors import ConfigError
from heliograph.fetcher.provider import Rows


async def side_by_side(
    symbols: Sequence[str], pages_of: Callable[[str], AsyncIterator[Rows]], workers: int
) -> AsyncGenerator[Rows]:
    """Pages in the order of their arrival; those of one symbol in their own.

    Args:
        pages_of: the pages of one symbol.
        workers: symbols whose past is asked for at the same time.

    Raises:
        ConfigError: one symbol's pages raise it; it is of more weight than the others' failures.
    """
    pages: asyncio.Queue[Rows | None] = asyncio.Queue()
    turns = asyncio.Semaphore(workers)

    async def fetch(symbol: str) -> None:
        async with turns:
            async for rows in pages_of(symbol):
                pages.put_nowait(rows)

    async def all_of_them() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for symbol in symbols:
                    group.create_task(fetch(symbol))
        finally:
            pages.put_nowait(None)

    work = asyncio.create_task(all_of_them())
    try:
        while (rows := await pages.get()) is not None:
            yield rows
        await work
    except BaseExceptionGroup as group:
        refused = group.subgroup(ConfigError)
        raise _first(refused or group) from None
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first of the errors in a group of groups."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
