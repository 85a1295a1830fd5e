"""The fetcher of live bars."""

import asyncio
import contextlib
from typing import Any

import structlog

from heliograph.common import metrics, subjects
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import UnavailableError
from heliograph.common.intervals import interval_ns
from heliograph.common.service import Context, ShardProcessor
from heliograph.common.shards import shard_of
from heliograph.fetcher.backpressure import Backpressure
from heliograph.fetcher.health import HealthBook
from heliograph.fetcher.live.feed import PATIENCE_S, Feed
from heliograph.fetcher.live.market import Market
from heliograph.fetcher.live.processor import Live, LiveProcessor
from heliograph.fetcher.live.provider import LiveProvider
from heliograph.fetcher.live.standing import held
from heliograph.fetcher.progress import summary
from heliograph.fetcher.settings import FetcherSettings

DAY_NS = 86_400 * NANOSECONDS
PAUSE_S = 0.5
LOOK_S = 10.0
"""Between two looks for symbols without fresh bars."""
TURNS = 2
NAMED = 20
"""Stale symbols that `status` names."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class RunningLive:
    """A fetcher that follows a provider."""

    def __init__(
        self, context: Context, settings: FetcherSettings, provider: LiveProvider, health: HealthBook
    ) -> None:
        self._context = context
        self._provider = provider
        self._health = health
        self._market: Market | None = None
        self._tasks: list[asyncio.Task[None]] = []
        symbols: list[list[str]] = [[] for _ in range(settings.shards)]
        for symbol in settings.symbols:
            symbols[shard_of(symbol, settings.shards)].append(symbol)
        look_back_ns = int(settings.look_back_days * DAY_NS)
        self._feed = Feed(
            provider, context.clock, health, look_back_ns, settings.settle_s, patience_s=PATIENCE_S
        )
        self._live = Live(
            shards=settings.shards,
            symbols=symbols,
            source=provider.name,
            interval=provider.interval,
            look_back_ns=look_back_ns,
            settle_s=settings.settle_s,
            tick_ns=int(settings.tick_s * NANOSECONDS),
            bars_ahead=settings.bars_ahead,
            window_messages=settings.window_messages,
            bus=context.bus,
            clock=context.clock,
            feed=self._feed,
            backpressure=Backpressure(context.bus, context.clock, settings.readers),
            progress={},
            turns=asyncio.Semaphore(TURNS),
        )

    async def begin(self) -> None:
        """See that the state can be gone on with, and follow the provider.

        Raises:
            ConfigError: the state holds a replay, or bars of another interval.
        """
        while True:
            try:
                for last in await self._context.bus.last_of_each("INPUT", subjects.bars("*")):
                    held(last, self._provider.interval)
                break
            except UnavailableError as error:
                await log.awarning("waiting for the bus", error=str(error))
                await asyncio.sleep(PAUSE_S)
        self._market = await asyncio.to_thread(Market)
        self._feed.begin()
        for work in (self._health.run(), self._watch()):
            self._tasks.append(asyncio.create_task(work))
        await log.ainfo("live", provider=self._provider.name, symbols=sum(map(len, self._live.symbols)))

    def processor(self, shard: int) -> ShardProcessor:
        """A processor for one shard."""
        return LiveProcessor(shard, self._live)

    def stale(self) -> list[str]:
        """Symbols of this process whose newest bar is too old for an open market."""
        market, now = self._market, self._context.clock.now_ns()
        if market is None:
            return []
        length = interval_ns(self._provider.interval)
        return sorted(
            symbol
            for intake in self._feed.intakes
            for symbol in intake.symbols
            if market.is_stale(symbol, intake.newest.get(symbol), length, now)
        )

    async def status(self) -> dict[str, Any]:
        """See `FetcherService.status`."""
        intakes = self._feed.intakes
        stale = self.stale()
        return {
            **summary(self._live.progress),
            "done": False,
            "provider": self._provider.name,
            "health": self._health.state(self._provider.name),
            "connected": self._feed.connected,
            "symbols": sum(len(intake.symbols) for intake in intakes),
            "filling": sum(len(intake.held) for intake in intakes),
            "duplicates": sum(intake.counts.duplicates for intake in intakes),
            "gaps": sum(intake.counts.gaps for intake in intakes),
            "stale": len(stale),
            "stale_symbols": stale[:NAMED],
            "redis": self._health.store,
        }

    async def _watch(self) -> None:
        """Tell the metric of stale symbols until cancelled."""
        while True:
            metrics.STALE_SYMBOLS.labels(self._provider.name).set(len(self.stale()))
            await asyncio.sleep(LOOK_S)

    async def end(self) -> None:
        """Leave the provider and Redis."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._feed.end()
        await self._health.close()
