"""Several sources as one, and a memory before them."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from heliograph.common.clock import Clock
from heliograph.reasoning.panel.records.known import Records, Source


class Combined:
    """Of each kind of record what the first source has that has any; with no source, nothing is known."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    async def records(self, ticker: str) -> Records:
        """All that the sources have of a ticker, asked at once.

        Raises:
            InputError: what one of them has cannot be read.
            UnavailableError: one of them does not answer.
        """
        found = Records()
        for records in await asyncio.gather(*(source.records(ticker) for source in self._sources)):
            found = found.over(records)
        return found


class Remembered:
    """A source whose answers are used again for a while; questions that come at the same time are one."""

    def __init__(self, source: Source, clock: Clock, *, ttl_s: float = 3600.0, size: int = 256) -> None:
        self._source = source
        self._clock = clock
        self._ttl_s = ttl_s
        self._size = size
        self._known: OrderedDict[str, tuple[float, asyncio.Task[Records]]] = OrderedDict()

    async def records(self, ticker: str) -> Records:
        """What the source has, or had not long ago; a failure is not remembered.

        Raises:
            InputError: what it has cannot be read.
            UnavailableError: it does not answer.
        """
        until, task = self._known.get(ticker, (0.0, None))
        if task is None or until <= self._clock.monotonic():
            task = asyncio.create_task(self._source.records(ticker))
            # Whoever asked may have left: then nobody else takes the failure.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._known[ticker] = self._clock.monotonic() + self._ttl_s, task
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        try:
            return await asyncio.shield(task)
        except Exception:
            if self._known.get(ticker, (0.0, None))[1] is task:
                del self._known[ticker]
            raise
