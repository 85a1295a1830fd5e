"""Several sources as one, and a memory before them."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from heliograph.common import metrics
from heliograph.common.clock import Clock
from heliograph.reasoning.panel.records.known import Records, Source

POPULAR = 2
"""Questions for a ticker since its records were read, from which on they are read anew ahead of time."""
AHEAD = 0.1
"""Share of the time that records are kept, before its end, in which that happens."""


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


class _Kept:
    """The records of one ticker, perhaps still on their way, and how often they were asked for since."""

    def __init__(self, until: float, task: asyncio.Task[Records]) -> None:
        self.until = until
        self.task = task
        self.asked = 0


class Remembered:
    """A source whose answers are used again for a while; questions that come at the same time are one.

    Of too many tickers the one is forgotten that nobody has asked for the longest. What is popular is read
    anew in the background before its time is over, so that nobody waits for it.
    """

    def __init__(self, source: Source, clock: Clock, *, ttl_s: float = 3600.0, size: int = 256) -> None:
        self._source = source
        self._clock = clock
        self._ttl_s = ttl_s
        self._size = size
        self._known: OrderedDict[str, _Kept] = OrderedDict()

    async def records(self, ticker: str) -> Records:
        """What the source has, or had not long ago; a failure is not remembered.

        Raises:
            InputError: what it has cannot be read.
            UnavailableError: it does not answer.
        """
        kept = self._fresh(ticker)
        metrics.CACHE.labels("records", "miss" if kept is None else "hit").inc()
        kept = kept or self._read(ticker)
        kept.asked += 1
        self._known.move_to_end(ticker)
        return await self._told(ticker, kept)

    async def again(self, ticker: str) -> Records:
        """The same for whoever has asked before: it says nothing of how popular a ticker is.

        Raises:
            InputError: what the source has cannot be read.
            UnavailableError: it does not answer.
        """
        return await self._told(ticker, self._fresh(ticker) or self._read(ticker))

    async def renew(self) -> list[str]:
        """Read anew what will soon be old and was asked for repeatedly; which tickers were.

        That costs at most one reading more than were asked for. While a source fails or may not be asked, the
        old answer serves until its time is over.
        """
        soon = self._clock.monotonic() + AHEAD * self._ttl_s
        popular = [t for t, kept in self._known.items() if kept.asked >= POPULAR and kept.until <= soon]
        renewed = []
        for ticker in popular:
            new = self._begun(ticker)
            await asyncio.wait([new.task])
            if new.task.exception() is None and not new.task.result().withheld and ticker in self._known:
                self._known[ticker] = new
                renewed.append(ticker)
        return renewed

    def _fresh(self, ticker: str) -> _Kept | None:
        kept = self._known.get(ticker)
        return kept if kept is not None and kept.until > self._clock.monotonic() else None

    def _read(self, ticker: str) -> _Kept:
        kept = self._known[ticker] = self._begun(ticker)
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return kept

    def _begun(self, ticker: str) -> _Kept:
        task = asyncio.create_task(self._source.records(ticker))
        # Whoever asked may have left: then nobody else takes the failure.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return _Kept(self._clock.monotonic() + self._ttl_s, task)

    async def _told(self, ticker: str, kept: _Kept) -> Records:
        try:
            return await asyncio.shield(kept.task)
        except Exception:
            if self._known.get(ticker) is kept:
                del self._known[ticker]
            raise


class Again:
    """What is remembered, for the later questions of a run."""

    def __init__(self, remembered: Remembered) -> None:
        self._remembered = remembered

    async def records(self, ticker: str) -> Records:
        """See `Remembered.again`."""
        return await self._remembered.again(ticker)
