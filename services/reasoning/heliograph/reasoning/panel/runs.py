"""The runs of the panel in the last week: which there are, how far they are, what they cost."""

from collections import OrderedDict
from datetime import timedelta
from typing import Any, Literal

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from heliograph.common.clock import NANOSECONDS, Clock

PREFIX = "heliograph:v1:panel-run:"
INDEX = "heliograph:v1:panel-runs"
KEPT = timedelta(days=7)
MOST = 1_000
"""Runs that one process remembers without Redis."""
LOST_AFTER_S = 900.0
"""A run that has not ended after so long belonged to a process that died."""
RETRY_S = 5.0
LOST = (RedisError, OSError, TimeoutError)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times are wall times, UTC nanoseconds; `cost` is US dollars.

    Attributes:
        done: agents that have ended, each once a ticker, of `total`.
        state: `lost` where its process died in the middle.
        calls: questions that went to a model.
        error: why it failed; empty where it did not.
    """

    run: str
    tickers: tuple[str, ...]
    agents: tuple[str, ...]
    total: int
    started_ts: int
    done: int = 0
    state: Literal["running", "done", "failed", "lost"] = "running"
    ended_ts: int | None = None
    seconds: float = 0.0
    calls: int = 0
    cost: float = 0.0
    error: str = ""


_decoder = msgspec.json.Decoder(Run)


class Runs:
    """Runs by name, in Redis for all replicas; without it those of this process."""

    def __init__(self, redis: Redis | None, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._own: OrderedDict[str, Run] = OrderedDict()
        self._retry_at = float("-inf")

    async def put(self, run: Run) -> None:
        """Keep a run, in place of what was known of it; never fails."""
        self._own[run.run] = run
        while len(self._own) > MOST:
            self._own.popitem(last=False)
        redis = self._reachable()
        if redis is None:
            return
        began, oldest = run.started_ts // 1000, (self._clock.now_ns() - _ns(KEPT)) // 1000
        try:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.set(PREFIX + run.run, msgspec.json.encode(run), ex=KEPT)
                # In microseconds, which the score of a sorted set holds exactly.
                pipe.zadd(INDEX, {run.run: began})
                pipe.zremrangebyscore(INDEX, "-inf", oldest)
                await pipe.execute()
        except LOST as error:
            await self._lost(error)

    async def get(self, name: str) -> Run | None:
        """A run; None where there is none of that name."""
        found = await self._read([name])
        return self._aged(found[0]) if found else None

    async def newest(self, limit: int) -> list[Run]:
        """The newest runs, the newest first."""
        names = list(reversed(self._own))
        redis = self._reachable()
        if redis is not None:
            try:
                named: list[Any] = await redis.zrange(INDEX, 0, limit - 1, desc=True)
                names = [name.decode() for name in named]
            except LOST as error:
                await self._lost(error)
        found = await self._read(names[:limit])
        return [self._aged(run) for run in sorted(found, key=lambda run: -run.started_ts)]

    async def _read(self, names: list[str]) -> list[Run]:
        redis = self._reachable()
        kept: list[Any] = [None] * len(names)
        if redis is not None and names:
            try:
                kept = await redis.mget([PREFIX + name for name in names])
            except LOST as error:
                await self._lost(error)
        found = []
        for name, data in zip(names, kept, strict=True):
            run = self._own.get(name) or (_decoder.decode(data) if data is not None else None)
            if run is not None:
                found.append(run)
        return found

    def _aged(self, run: Run) -> Run:
        late = self._clock.now_ns() - run.started_ts > LOST_AFTER_S * NANOSECONDS
        return msgspec.structs.replace(run, state="lost") if run.state == "running" and late else run

    def _reachable(self) -> Redis | None:
        return self._redis if self._clock.monotonic() >= self._retry_at else None

    async def _lost(self, error: Exception) -> None:
        self._retry_at = self._clock.monotonic() + RETRY_S
        await log.awarning("redis away, runs are known to their own process alone", error=repr(error))


def _ns(span: timedelta) -> int:
    return int(span.total_seconds()) * NANOSECONDS
