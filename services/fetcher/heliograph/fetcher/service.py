"""The fetcher: takes bars from providers, refuses the bad ones, publishes the good ones on INPUT."""

import asyncio
import contextlib
from typing import Any

import structlog

from heliograph.common import subjects
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InvariantError, UnavailableError
from heliograph.common.service import Context, ShardProcessor, Source
from heliograph.fetcher.backpressure import Backpressure
from heliograph.fetcher.health import HealthBook, connect
from heliograph.fetcher.live.registry import LIVE
from heliograph.fetcher.live.running import RunningLive
from heliograph.fetcher.load import Replay, load
from heliograph.fetcher.pace import Pace, start_of
from heliograph.fetcher.processor import Replaying, ReplayProcessor
from heliograph.fetcher.progress import ShardProgress, summary
from heliograph.fetcher.quarantine import SERVICE
from heliograph.fetcher.replay import ReplayProvider
from heliograph.fetcher.settings import REPLAY, FetcherSettings
from heliograph.fetcher.standing import standing

DAY_NS = 86_400 * NANOSECONDS
PAUSE_S = 0.5
TURNS = 2
"""One shard makes its messages while the server stores another's."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class FetcherService:
    """Replays a folder of bars, or follows a live provider, shard by shard."""

    name = SERVICE
    sources: tuple[Source, ...] = ()
    sharded = True

    def __init__(self) -> None:
        self._running: Running | RunningLive | None = None

    async def start(self, context: Context) -> None:
        """Read the data, judge and plan them, and see where an earlier run stands; or begin to follow.

        Raises:
            InputError: the data are missing or wrong.
            ConfigError: the state holds another replay, or one where a live provider is to be followed, or
                the other way round; a setting that the provider needs is missing; or `redis_url` is not one.
        """
        settings = context.settings
        if not isinstance(settings, FetcherSettings):
            raise InvariantError(f"settings: {type(settings).__name__}, expected FetcherSettings")
        health = HealthBook(context.clock, connect(settings.redis_url))
        self._running = await begun(context, settings, health)

    def processor(self, shard: int) -> ShardProcessor:
        """A processor for one shard."""
        return self._started().processor(shard)

    async def problems(self) -> dict[str, str]:
        """Why it is not ready; Redis away is no reason, since health then stays in memory."""
        return {}

    async def status(self) -> dict[str, Any]:
        """Progress of this process's shards, what was refused there, and whether the whole replay is done.

        A live provider's is never done; its connection, gaps and stale symbols are told instead.
        """
        return await self._started().status()

    async def stop(self) -> None:
        """Leave Redis."""
        if self._running is not None:
            await self._running.end()

    def _started(self) -> "Running | RunningLive":
        if self._running is None:
            raise InvariantError("the fetcher is used before its start")
        return self._running


async def begun(context: Context, settings: FetcherSettings, health: HealthBook) -> "Running | RunningLive":
    """A fetcher of the kind that the setting names, at work."""
    if settings.data is not None and settings.provider == REPLAY:
        provider = ReplayProvider(settings.data)
        replay = await load(provider, settings.shards, health)
        running = Running(context, settings, provider, replay, health)
        await running.begin()
        return running
    live = RunningLive(context, settings, LIVE[settings.provider](settings, context.clock), health)
    await live.begin()
    return live


class Running:
    """A fetcher of stored bars that has its data."""

    def __init__(
        self,
        context: Context,
        settings: FetcherSettings,
        provider: ReplayProvider,
        replay: Replay,
        health: HealthBook,
    ) -> None:
        self._context = context
        self._settings = settings
        self._provider = provider
        self._replay = replay
        self._health = health
        self._progress: dict[int, ShardProgress] = {}
        self._turns = asyncio.Semaphore(TURNS)
        self._backpressure = Backpressure(context.bus, context.clock, settings.readers)
        self._pace = Pace(context.clock, None, 0)
        self._copying: asyncio.Task[None] | None = None
        self._finished = False

    async def begin(self) -> None:
        """Agree on the start of the pace, and begin to copy the health."""
        positions = await self._positions_when_known()
        factor = None if self._settings.speed == "max" else self._settings.speed
        self._pace = Pace(self._context.clock, factor, self._start_ns(positions))
        self._copying = asyncio.create_task(self._health.run(), name="health")
        plan = self._replay.plan
        await log.ainfo(
            "replay planned",
            data=str(self._settings.data),
            bars=len(plan.order),
            batches=len(plan.close_ts),
            gaps=self._replay.gaps,
            refused=sum(sum(r.counts().values()) for r in self._replay.refused),
            empty_files=self._provider.empty_files,
            plan=plan.fingerprint,
        )

    async def _positions_when_known(self) -> list[int]:
        while True:
            try:
                return await self._positions()
            except UnavailableError as error:
                await log.awarning("waiting for the bus", error=str(error))
                await asyncio.sleep(PAUSE_S)

    async def _positions(self) -> list[int]:
        """The next position of every shard, whoever works on it."""
        plan = self._replay.plan
        positions = [0] * self._settings.shards
        for last in await self._context.bus.last_of_each("INPUT", subjects.bars("*")):
            at = standing(last, plan.fingerprint)
            positions[int(last.subject.rsplit(".", 1)[1])] = at.position
        return positions

    def _start_ns(self, positions: list[int]) -> int:
        closes = [self._replay.plan.closes(shard) for shard in range(self._settings.shards)]
        undelivered = [int(c[p]) for c, p in zip(closes, positions, strict=True) if p < len(c)]
        first = min((int(c[0]) for c in closes if len(c)), default=0)
        history = int(self._settings.history_days * DAY_NS)
        # Where all is delivered nothing is left but to tell that time goes on from there.
        last = max((int(c[-1]) for c in closes if len(c)), default=None)
        return start_of(first, history, min(undelivered, default=last))

    def processor(self, shard: int) -> ReplayProcessor:
        """A processor for one shard."""
        shared = Replaying(
            replay=self._replay,
            provider=self._provider.name,
            bus=self._context.bus,
            clock=self._context.clock,
            pace=self._pace,
            backpressure=self._backpressure,
            health=self._health,
            progress=self._progress,
            turns=self._turns,
            window_messages=self._settings.window_messages,
            bars_ahead=self._settings.bars_ahead,
            tick_ns=0 if self._settings.speed == "max" else int(self._settings.tick_s * NANOSECONDS),
        )
        return ReplayProcessor(shard, shared)

    async def status(self) -> dict[str, Any]:
        """See `FetcherService.status`."""
        return {
            **summary(self._progress),
            "done": await self._is_done(),
            "data": str(self._settings.data),
            "provider": self._provider.name,
            "health": self._health.state(self._provider.name),
            "gaps": self._replay.gaps,
            "empty_files": self._provider.empty_files,
            "redis": self._health.store,
        }

    async def _is_done(self) -> bool:
        """Whether every shard, of whichever replica, is at its end; asked of the bus only when ours are."""
        if not all(p.done for p in self._progress.values()):
            return False
        if not self._finished:
            plan = self._replay.plan
            try:
                positions = await self._positions()
            except UnavailableError:
                return False
            self._finished = all(p == plan.batches(shard) for shard, p in enumerate(positions))
        return self._finished

    async def end(self) -> None:
        """Stop copying the health."""
        if self._copying is not None:
            self._copying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._copying
        await self._health.close()
