"""The one connection of a process to a provider of live bars, shared by the shards that the process owns."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
import structlog

from heliograph.common import metrics
from heliograph.common.clock import NANOSECONDS, Clock
from heliograph.common.errors import InvariantError, UnavailableError
from heliograph.common.intervals import interval_ns
from heliograph.fetcher.health import HealthBook
from heliograph.fetcher.live.intake import Intake
from heliograph.fetcher.live.provider import LiveProvider
from heliograph.fetcher.provider import Rows

PAUSE_S = 1.0
PAUSE_MAX_S = 60.0
GATHER_S = 0.2
"""Shards come and go several at a time: so long is waited before the provider is told."""
FILL_SYMBOLS = 8
"""Symbols filled in together: their bars are in memory until they are published."""
FILL_AHEAD = 100_000
"""Bars that may wait for their publication before another fill begins."""
LOOK_S = 0.2
SAME_SINCE_NS = 3600 * NANOSECONDS
"""Symbols are filled in together where their newest bars are no further apart than that."""
PATIENCE_S = 120.0
"""A past that cannot be had for so long is left out, so that the present is not kept back any longer."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Job(msgspec.Struct, frozen=True):
    """A piece of the past that is missing: symbols of one shard, since when."""

    intake: Intake
    symbols: list[str]
    since_ns: int


class Feed:
    """Streams, reconnects, resubscribes, and fills in what was missed meanwhile.

    Args:
        look_back_ns: how far back bars are fetched at most.
        settle_s: how long after a subscription the past is asked for: what has just closed is not yet there.
    """

    def __init__(
        self,
        provider: LiveProvider,
        clock: Clock,
        health: HealthBook,
        look_back_ns: int,
        settle_s: float,
        pause_s: float = PAUSE_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._provider = provider
        self._clock = clock
        self._health = health
        self._look_back = look_back_ns
        self._settle_s = settle_s
        self._pause_s = pause_s
        self._patience_s = patience_s
        self._length = interval_ns(provider.interval)
        self._intakes: dict[int, Intake] = {}
        self._changed = asyncio.Event()
        self._standing = asyncio.Event()
        self._wanted = asyncio.Event()
        self._breaks = 0
        self._tries = 0
        self._stood_at = 0.0
        self._failing_since: float | None = None
        self._failure: BaseException | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def intakes(self) -> list[Intake]:
        """Those of the shards that this process has now."""
        return list(self._intakes.values())

    @property
    def connected(self) -> bool:
        """Whether the provider has confirmed what is subscribed to."""
        return self._standing.is_set()

    def begin(self) -> None:
        """Start to work."""
        for work in (self._stream(), self._fill()):
            task = asyncio.create_task(work, name="live")
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def end(self) -> None:
        """Stop, and leave the provider."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._provider.close()

    def join(self, intake: Intake) -> None:
        """Serve a shard from now on; all its symbols are filled in first."""
        intake.hold(intake.symbols)
        self._intakes[intake.shard] = intake
        self._standing.clear()
        self._changed.set()

    def leave(self, intake: Intake) -> None:
        """Serve a shard no more."""
        if self._intakes.get(intake.shard) is intake:
            del self._intakes[intake.shard]
            self._changed.set()

    def check(self) -> None:
        """Raise what cannot be mended.

        Raises:
            InvariantError: the provider refuses the key or what is asked for, or the feed has a fault.
        """
        if self._failure is not None:
            raise InvariantError(str(self._failure)) from self._failure

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error

    def _symbols(self) -> list[str]:
        return sorted({symbol for intake in self._intakes.values() for symbol in intake.symbols})

    async def _stream(self) -> None:
        """Follow the provider until cancelled."""
        while True:
            try:
                await self._session()
            except UnavailableError as error:
                self._broken()
                pause = random.uniform(0, min(PAUSE_MAX_S, self._pause_s * 2**self._tries))  # noqa: S311 - jitter
                self._tries = min(self._tries + 1, 16)
                await log.awarning(
                    "live provider away",
                    provider=self._provider.name,
                    error=str(error),
                    pause_s=round(pause, 1),
                )
                await asyncio.sleep(pause)

    def _broken(self) -> None:
        """The connection is gone: what comes until it is back is missing."""
        self._standing.clear()
        self._breaks += 1
        self._health.failed(self._provider.name)
        metrics.LIVE_BREAKS.labels(self._provider.name).inc()
        for intake in self.intakes:
            intake.hold(intake.symbols)

    async def _session(self) -> None:
        """One subscription, until the symbols change or the connection is lost."""
        while not (symbols := self._symbols()):
            self._changed.clear()
            await self._changed.wait()
            await asyncio.sleep(GATHER_S)
        stream = self._provider.stream(symbols)
        reading: asyncio.Task[Rows] | None = None
        stood = False
        self._standing.clear()
        try:
            while True:
                self._changed.clear()
                if self._symbols() != symbols:
                    if reading is not None and reading.done():
                        self._took(reading.result(), stood=stood)
                    return
                if stood:
                    self._standing.set()
                reading = reading or asyncio.create_task(_next(stream))
                await self._first(reading)
                if not reading.done():
                    await asyncio.sleep(GATHER_S)
                    continue
                rows, reading = reading.result(), None
                stood = self._took(rows, stood=stood)
        finally:
            await _leave(stream, reading)

    async def _first(self, reading: asyncio.Task[Rows]) -> None:
        """Wait for rows, or for shards that come or go."""
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait([reading, changed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()

    def _took(self, rows: Rows, *, stood: bool) -> bool:
        """Hand rows to the shards; the first ones of a session tell that the subscription stands."""
        self._health.succeeded(self._provider.name)
        if not stood:
            self._stood_at = self._clock.monotonic()
            self._wanted.set()
        if len(rows.ts):
            self._tries = 0
            now_ns, now = self._clock.now_ns(), self._clock.monotonic()
            for intake in self.intakes:
                intake.take(rows, now_ns, now)
        return True

    async def _fill(self) -> None:
        """Fill in what is missing until cancelled: the smallest gaps first."""
        while True:
            self._wanted.clear()
            await self._standing.wait()
            await asyncio.sleep(max(0.0, self._stood_at + self._settle_s - self._clock.monotonic()))
            job = self._job()
            if job is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._wanted.wait()
            elif self._standing.is_set():
                await self._run(job)

    def _job(self) -> Job | None:
        """The next piece of the past; None where nothing is missing, or enough waits already."""
        if sum(intake.ready for intake in self.intakes) > FILL_AHEAD:
            return None
        jobs = [job for intake in self.intakes if (job := self._newest_gap(intake)) is not None]
        return max(jobs, key=lambda job: job.since_ns, default=None)

    def _newest_gap(self, intake: Intake) -> Job | None:
        horizon = (self._clock.now_ns() - self._look_back) // self._length * self._length
        since = {s: max(horizon, intake.newest.get(s, 0) + self._length) for s in intake.held}
        if not since:
            return None
        order = sorted(since, key=lambda symbol: (-since[symbol], symbol))
        nearest = since[order[0]]
        symbols = [s for s in order[:FILL_SYMBOLS] if nearest - since[s] <= SAME_SINCE_NS]
        return Job(intake, symbols, since[symbols[-1]])

    async def _run(self, job: Job) -> None:
        """Fetch one piece; what came by the stream meanwhile follows it."""
        until = self._clock.now_ns() // self._length * self._length
        breaks = self._breaks
        if job.since_ns < until:
            pages = self._provider.history(job.symbols, job.since_ns, until)
            try:
                async for rows in pages:
                    job.intake.fill(rows, self._clock.now_ns())
            except UnavailableError as error:
                if not await self._patience_ended(job, error):
                    return
            else:
                self._health.succeeded(self._provider.name)
                self._failing_since = None
            finally:
                await _leave(pages, None)
        if breaks == self._breaks:
            job.intake.release(job.symbols, self._clock.monotonic())

    async def _patience_ended(self, job: Job, error: UnavailableError) -> bool:
        """Pause before another try; True where the past has failed for too long."""
        self._health.failed(self._provider.name)
        now = self._clock.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since > self._patience_s:
            metrics.LIVE_UNFILLED.labels(self._provider.name).inc(len(job.symbols))
            await log.aerror(
                "bars of the past left out", symbols=job.symbols, since=job.since_ns, error=str(error)
            )
            return True
        await log.awarning("bars of the past not to be had", symbols=job.symbols, error=str(error))
        await asyncio.sleep(random.uniform(0, self._pause_s))  # noqa: S311 - jitter
        return False


async def _next(stream: AsyncIterator[Rows]) -> Rows:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        raise UnavailableError("the stream has ended") from None


async def _leave(stream: AsyncIterator[Rows], reading: asyncio.Task[Rows] | None) -> None:
    """Stop reading, and close a generator."""
    if reading is not None:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()
