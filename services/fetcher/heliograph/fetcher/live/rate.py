"""So many requests a second to a provider, of all replicas where there is a Redis, else of this process."""

import asyncio
import time

import structlog
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from heliograph.common.clock import Clock

PREFIX = "heliograph:v1:fetcher"
AWAY_S = 5.0
"""A Redis that failed is left alone for so long."""
SHORTEST_S = 0.01

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def window(rate: float, burst: int) -> RateLimitItem:
    """The burst in the time that it takes at this rate, in whole seconds.

    Args:
        rate: requests a second on average; `burst` at once.
    """
    seconds = max(1, round(burst / rate))
    return RateLimitItemPerSecond(max(1, round(rate * seconds)), seconds)


class Rate:
    """A moving window over the newest requests of one provider."""

    def __init__(self, name: str, item: RateLimitItem, redis: Redis | None, clock: Clock) -> None:
        self._name = name
        self._item = item
        self._clock = clock
        self._away_until = float("-inf")
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._together: MovingWindowRateLimiter | None = None
        if redis is not None:
            storage = RedisStorage(
                "async+redis://",
                implementation="redispy",
                key_prefix=PREFIX,
                connection_pool=redis.connection_pool,  # type: ignore[arg-type]  # as its text says
            )
            self._together = MovingWindowRateLimiter(storage)

    async def turn(self) -> None:
        """Wait until a request may be made."""
        wait = await self._wait()
        while wait > 0:
            await asyncio.sleep(wait)
            wait = await self._wait()

    async def _wait(self) -> float:
        """Seconds until there may be room; 0 where the request may be made now."""
        if self._together is not None and self._clock.monotonic() >= self._away_until:
            try:
                return await self._of(self._together)
            except (RedisError, OSError, TimeoutError) as error:
                self._away_until = self._clock.monotonic() + AWAY_S
                await log.awarning("redis away, each replica keeps the rate for itself", error=repr(error))
        return await self._of(self._own)

    async def _of(self, limiter: MovingWindowRateLimiter) -> float:
        if await limiter.hit(self._item, self._name):
            return 0.0
        stats = await limiter.get_window_stats(self._item, self._name)
        return max(SHORTEST_S, stats.reset_time - time.time())
