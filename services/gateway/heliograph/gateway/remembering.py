"""What the replicas of the gateway remember together for minutes: calls of the last minute, nonces seen.

In Redis where there is one; while it is away, and without one, each replica in its own memory.
"""

import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import Redis
from redis.exceptions import RedisError
from structlog import get_logger

from heliograph.common.clock import Clock
from heliograph.common.errors import ConfigError

PREFIX = "heliograph:v1:gateway"
TIMEOUT_S = 1.0
RETRY_S = 5.0
LOST = (RedisError, OSError, TimeoutError)

log = get_logger(__name__)


class Shared:
    """A Redis that may be away; asked again only some seconds after it failed."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._clock = clock
        self._retry_at = float("-inf")
        self.redis: Redis | None = None
        if url:
            try:
                self.redis = Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
            except ValueError as error:
                raise ConfigError(f"redis_url: {error}") from None

    @property
    def reachable(self) -> bool:
        """Whether it is worth asking."""
        return self.redis is not None and self._clock.monotonic() >= self._retry_at

    async def lost(self, error: Exception) -> None:
        """It has failed."""
        self._retry_at = self._clock.monotonic() + RETRY_S
        await log.awarning("redis away, each replica remembers for itself", error=repr(error))

    async def close(self) -> None:
        """Leave it."""
        if self.redis is not None:
            await self.redis.aclose()


class RateLimit:
    """So many calls a minute of each caller, over a sliding window."""

    def __init__(self, per_minute: int, shared: Shared) -> None:
        self._item = RateLimitItemPerMinute(per_minute)
        self._shared = shared
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._together = None
        if shared.redis is not None:
            storage = RedisStorage(
                "async+redis://",
                implementation="redispy",
                key_prefix=PREFIX,
                connection_pool=shared.redis.connection_pool,  # type: ignore[arg-type]  # as its text says
            )
            self._together = SlidingWindowCounterRateLimiter(storage)

    async def take(self, caller: str) -> tuple[bool, dict[str, str]]:
        """Whether the caller may, and the headers that tell it where it stands."""
        if self._together is not None and self._shared.reachable:
            try:
                return await self._of(self._together, caller)
            except LOST as error:
                await self._shared.lost(error)
        return await self._of(self._own, caller)

    async def _of(self, limiter: SlidingWindowCounterRateLimiter, caller: str) -> tuple[bool, dict[str, str]]:
        allowed = await limiter.hit(self._item, caller)
        reset_at, remaining = await limiter.get_window_stats(self._item, caller)
        wait = max(1, round(reset_at - time.time()))
        headers = {
            "RateLimit-Limit": str(self._item.amount),
            "RateLimit-Remaining": str(max(0, remaining)),
            "RateLimit-Reset": str(wait),
        }
        return allowed, headers


class Nonces:
    """The nonces of signed requests for as long as these are good."""

    def __init__(self, life_s: float, shared: Shared, clock: Clock) -> None:
        self._life_s = life_s
        self._shared = shared
        self._clock = clock
        self._own: dict[str, float] = {}

    async def take(self, nonce: str) -> bool:
        """Whether it is the first time."""
        now = self._clock.monotonic()
        for old in [seen for seen, until in self._own.items() if until <= now]:
            del self._own[old]
        if nonce in self._own:
            return False
        self._own[nonce] = now + self._life_s
        redis = self._shared.redis
        if redis is None or not self._shared.reachable:
            return True
        try:
            return bool(await redis.set(f"{PREFIX}:nonce:{nonce}", 1, nx=True, ex=round(self._life_s)))
        except LOST as error:
            await self._shared.lost(error)
            return True
