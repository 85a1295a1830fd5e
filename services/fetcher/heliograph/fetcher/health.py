"""Source health: when each provider last answered, and how often it has failed since.

Kept in memory, and copied to Redis for the other replicas and the status page. Fetching never waits for
Redis.
"""

import asyncio
import contextlib
from typing import Literal

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from heliograph.common.clock import NANOSECONDS, Clock
from heliograph.common.errors import ConfigError

UNHEALTHY_FAILURES = 5
DEGRADED_AFTER_NS = 300 * NANOSECONDS
COPY_PERIOD_S = 2.0
TIMEOUT_S = 1.0
KEY = "heliograph:v1:health:"

State = Literal["healthy", "degraded", "unhealthy"]

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class SourceHealth(msgspec.Struct):
    """What is known of one provider; times are wall time, UTC nanoseconds."""

    since_ns: int
    last_success_ns: int = 0
    failures: int = 0

    def state(self, now_ns: int) -> State:
        """Unhealthy after five failures in a row, degraded after 300 s without a success."""
        if self.failures >= UNHEALTHY_FAILURES:
            return "unhealthy"
        if now_ns - max(self.last_success_ns, self.since_ns) > DEGRADED_AFTER_NS:
            return "degraded"
        return "healthy"


def connect(url: str) -> Redis | None:
    """A client for Redis, not yet connected; None without a URL.

    Raises:
        ConfigError: the URL is not one of a Redis.
    """
    if not url:
        return None
    try:
        return Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    except ValueError as error:
        raise ConfigError(f"redis_url: {error}") from None


class HealthBook:
    """The health of every provider of a process."""

    def __init__(self, clock: Clock, redis: Redis | None) -> None:
        self._clock = clock
        self._redis = redis
        self._sources: dict[str, SourceHealth] = {}
        self.store = "memory"
        """Where the last copy went: `ok` for Redis, else it stays in `memory`."""

    def succeeded(self, provider: str) -> None:
        """A provider has answered."""
        source = self._source(provider)
        source.last_success_ns = self._clock.now_ns()
        source.failures = 0

    def failed(self, provider: str) -> None:
        """A provider has failed to answer."""
        self._source(provider).failures += 1

    def state(self, provider: str) -> State:
        """How a provider is now."""
        return self._source(provider).state(self._clock.now_ns())

    def _source(self, provider: str) -> SourceHealth:
        return self._sources.setdefault(provider, SourceHealth(since_ns=self._clock.now_ns()))

    async def copy(self) -> None:
        """Copy what is known to Redis, one hash a provider; without Redis the memory goes on alone."""
        if self._redis is None:
            return
        try:
            for provider, source in list(self._sources.items()):
                await self._redis.hset(
                    KEY + provider,
                    mapping={
                        "state": self.state(provider),
                        "last_success_ns": source.last_success_ns,
                        "failures": source.failures,
                    },
                )
            await self._redis.ping()
            store = "ok"
        except (RedisError, OSError, TimeoutError) as error:
            store = "memory"
            if self.store == "ok":
                await log.awarning("redis away, health stays in memory", error=repr(error))
        self.store = store

    async def run(self) -> None:
        """Copy again and again until cancelled."""
        while True:
            await self.copy()
            await asyncio.sleep(COPY_PERIOD_S)

    async def close(self) -> None:
        """Leave Redis."""
        if self._redis is not None:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._redis.aclose()
