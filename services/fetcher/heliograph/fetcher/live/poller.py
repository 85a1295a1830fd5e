"""One stream of polling: five calls at a time, and history for what they did not show."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Protocol

import structlog

from heliograph.common import metrics
from heliograph.common.clock import Clock
from heliograph.common.errors import InputError, UnavailableError
from heliograph.fetcher.live.closing import Closing
from heliograph.fetcher.live.rounds import Rounds
from heliograph.fetcher.live.snapshot import Minute, rows_of
from heliograph.fetcher.provider import Rows

CALLS_AT_ONCE = 5
CALL_S = 30.0
"""A look at some symbols, or history for one symbol's gap, that takes longer with its tries has failed."""
FAILURES_IN_A_ROW = 5
"""Calls after which the provider counts as away."""
REGROUP_S = 300.0
LONGEST_PAUSE_S, SHORTEST_PAUSE_S = 1.0, 0.01
BATCHES_WAITING = 64
FAILED = (UnavailableError, InputError, TimeoutError)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Asked(Protocol):
    """What is polled."""

    @property
    def name(self) -> str:
        """Of the provider, as metrics call it."""
        ...

    async def look(self, symbols: Sequence[str]) -> dict[str, Minute]:
        """The newest minutes of some symbols of one market, by one call."""
        ...

    def history(self, symbols: Sequence[str], since_ns: int, until_ns: int) -> AsyncGenerator[Rows]:
        """See `LiveProvider.history`; the rows also reach the rounds."""
        ...


class Poller:
    """Polls until it is closed, or the provider is away.

    Args:
        asked: the provider.
        rounds: when to ask for whom; outlives the stream, so that a new stream asks for nobody too early.
        closing: up to where the minutes are known.
        stocks_open: whether the stock market is open at a time, UTC nanoseconds.
        pause: waits for some seconds.
    """

    def __init__(
        self,
        asked: Asked,
        rounds: Rounds,
        closing: Closing,
        stocks_open: Callable[[int], bool],
        clock: Clock,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._asked = asked
        self._rounds = rounds
        self._closing = closing
        self._stocks_open = stocks_open
        self._clock = clock
        self._pause = pause
        self._told: asyncio.Queue[Rows | Exception] = asyncio.Queue(BATCHES_WAITING)
        self._turn = asyncio.Semaphore(CALLS_AT_ONCE)
        self._gaps: dict[str, tuple[int, int]] = {}
        self._filling: set[str] = set()
        self._failures = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._regroup_at = 0.0

    async def batches(self) -> AsyncGenerator[Rows]:
        """Closed bars as they are found.

        Raises:
            UnavailableError: five calls in a row have failed.
            ConfigError: the provider refuses the key, or what is asked for.
        """
        polling = asyncio.create_task(self._poll(), name="poll")
        try:
            while True:
                told = await self._told.get()
                if isinstance(told, Exception):
                    raise told
                yield told
        finally:
            running = [polling, *self._calls]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            while not self._told.empty():
                told = self._told.get_nowait()
                if not isinstance(told, Exception):
                    self._lost(told)

    async def _poll(self) -> None:
        try:
            while True:
                await self._turn.acquire()
                work = await self._next()
                call = asyncio.create_task(self._call(work), name="poll call")
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
        except Exception as error:
            await self._told.put(error)

    async def _next(self) -> Callable[[], Awaitable[None]]:
        """The next thing to do, when it is time: looks before gaps, since looks keep to their intervals."""
        while True:
            now = self._clock.monotonic()
            if now >= self._regroup_at:
                self._regroup_at = now + REGROUP_S
                self._rounds.group(await asyncio.to_thread(self._rounds.grouping()))
            is_open = self._stocks_open(self._clock.now_ns())
            if symbols := self._rounds.next_call(now, stocks_open=is_open):
                return partial(self._look, symbols)
            if (gap := self._oldest_gap()) is not None:
                return partial(self._fill, *gap)
            left = self._rounds.wait(now, stocks_open=is_open)
            await self._pause(min(max(left, SHORTEST_PAUSE_S), LONGEST_PAUSE_S))

    def _oldest_gap(self) -> tuple[str, int, int] | None:
        """The gap to fill next; one at a time of each symbol, so that its bars come in order."""
        free = self._gaps.keys() - self._filling
        if not free:
            return None
        symbol = min(free, key=lambda s: (self._gaps[s], s))
        since, until = self._gaps.pop(symbol)
        self._filling.add(symbol)
        return symbol, max(since, self._closing.known[symbol]), until

    async def _call(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except FAILED as error:
            self._failures += 1
            why = str(error) or "no answer in time"
            await log.awarning("poll failed", provider=self._asked.name, error=why)
            if self._failures >= FAILURES_IN_A_ROW:
                await self._told.put(UnavailableError(f"{self._failures} polls in a row failed: {why}"))
        except Exception as error:
            await self._told.put(error)
        else:
            self._failures = 0
        finally:
            self._turn.release()

    async def _look(self, symbols: Sequence[str]) -> None:
        """Look at some symbols: what is closed and new is told, what was missed will be filled."""
        asked_ns = self._clock.now_ns()
        async with asyncio.timeout(CALL_S):
            shown = await self._asked.look(symbols)
        new: list[tuple[str, Minute]] = []
        for symbol in symbols:
            minute = shown.get(symbol)
            verdict = self._closing.looked(symbol, minute.ts if minute else None, asked_ns)
            metrics.POLLED_SYMBOLS.labels(self._asked.name, verdict.kind).inc()
            if verdict.gap is not None:
                self._gaps[symbol] = verdict.gap
            if verdict.kind == "new" and minute is not None:
                new.append((symbol, minute))
        rows = rows_of("snapshot", new)
        self._rounds.take(rows, asked_ns)
        await self._tell(rows)

    async def _fill(self, symbol: str, since_ns: int, until_ns: int) -> None:
        """Ask history for what no look has shown of a symbol."""
        found: list[Rows] = []
        try:
            if since_ns < until_ns:
                history = self._asked.history([symbol], since_ns, until_ns)
                async with asyncio.timeout(CALL_S), aclosing(history):
                    found = [rows async for rows in history if len(rows.ts)]
        except FAILED:
            self._closing.failed(symbol)
            raise
        finally:
            self._filling.discard(symbol)
        newest = max((int(rows.ts.max()) for rows in found), default=None)
        self._closing.filled(symbol, newest, until_ns)
        await self._tell(*found)

    async def _tell(self, *batches: Rows) -> None:
        left = list(batches)
        try:
            while left:
                await self._told.put(left[0])
                del left[0]
        except asyncio.CancelledError:
            self._lost(*left)
            raise

    def _lost(self, *batches: Rows) -> None:
        """Nobody has read these any more: the stream that follows finds them again."""
        for rows in batches:
            for code, ts in zip(rows.code.tolist(), rows.ts.tolist(), strict=True):
                self._closing.lost(rows.symbols[code], ts)
