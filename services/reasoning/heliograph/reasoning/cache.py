"""The cache of explanations with placeholders: memory first, then Redis; without Redis the memory alone."""

import contextlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from heliograph.common import metrics
from heliograph.common.clock import Clock
from heliograph.common.errors import ConfigError
from heliograph.reasoning.facts import NEEDED

PREFIX = "heliograph:v1:explanation:"
TIMEOUT_S = 0.5
RETRY_S = 5.0
"""So long Redis is left alone after it has failed, so that an absent one delays no signal's reason."""
SCALE = "out of 100"
_NUMBER = re.compile(r"(?<![\w-])\d")

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


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


def is_sound(text: str) -> bool:
    """Whether a text may be used: every placeholder is there, and no number that may be an old price."""
    return all(placeholder in text for placeholder in NEEDED) and not _NUMBER.search(text.replace(SCALE, ""))


def as_text(value: bytes | str) -> str:
    """What Redis holds, as text; what is no UTF-8 will not be sound."""
    return value if isinstance(value, str) else value.decode(errors="replace")


class ExplanationCache:
    """Texts by key, each for `ttl_s` seconds at most; in memory the newest `size` used.

    `prefix` begins its keys in Redis, `sound` says which texts of it may be used, `name` is for metrics.
    """

    def __init__(
        self,
        clock: Clock,
        redis: Redis | None,
        size: int,
        ttl_s: float,
        *,
        prefix: str = PREFIX,
        sound: Callable[[str], bool] = is_sound,
        name: str = "reasoning",
    ) -> None:
        self._prefix = prefix
        self._sound = sound
        self._name = name
        self._clock = clock
        self._redis = redis
        self._size = size
        self._ttl_s = ttl_s
        self._memory: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._retry_at = 0.0
        self._hits = {"memory": 0, "redis": 0}
        self._misses = 0
        self.store = "memory"
        """Where texts are kept: `ok` when Redis answered the last time, else `memory` alone."""

    async def ping(self) -> None:
        """Ask Redis for its presence, unless it is being left alone."""
        if self._redis_is_due() and self._redis is not None:
            try:
                await self._redis.ping()
                self.store = "ok"
            except (RedisError, OSError, TimeoutError) as error:
                await self._lost(error)

    async def get(self, keys: Iterable[str]) -> dict[str, str]:
        """The texts that are known of some distinct keys; never fails."""
        wanted = list(keys)
        found = {key: text for key in wanted if (text := self._remembered(key)) is not None}
        self._hits["memory"] += len(found)
        missing = [key for key in wanted if key not in found]
        from_redis = await self._ask(missing) if missing else {}
        self._hits["redis"] += len(from_redis)
        for key, text in from_redis.items():
            self._remember(key, text)
        misses = len(missing) - len(from_redis)
        self._misses += misses
        metrics.CACHE.labels(self._name, "hit").inc(len(wanted) - misses)
        metrics.CACHE.labels(self._name, "miss").inc(misses)
        return found | from_redis

    async def put(self, texts: Mapping[str, str]) -> None:
        """Keep some texts; never fails."""
        for key, text in texts.items():
            self._remember(key, text)
        if not texts or self._redis is None or not self._redis_is_due():
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, text in texts.items():
                    pipe.set(self._prefix + key, text, ex=max(1, round(self._ttl_s)))
                await pipe.execute()
            self.store = "ok"
        except (RedisError, OSError, TimeoutError) as error:
            await self._lost(error)

    def status(self) -> dict[str, int]:
        """Look-ups by where they were answered, and the texts in memory."""
        return {
            "hits_memory": self._hits["memory"],
            "hits_redis": self._hits["redis"],
            "misses": self._misses,
            "size": len(self._memory),
        }

    async def close(self) -> None:
        """Leave Redis."""
        if self._redis is not None:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._redis.aclose()

    async def _ask(self, keys: list[str]) -> dict[str, str]:
        if self._redis is None or not self._redis_is_due():
            return {}
        try:
            values = await self._redis.mget([self._prefix + key for key in keys])
        except (RedisError, OSError, TimeoutError) as error:
            await self._lost(error)
            return {}
        self.store = "ok"
        texts = {k: as_text(v) for k, v in zip(keys, values, strict=True) if v is not None}
        return {key: text for key, text in texts.items() if self._sound(text)}

    def _redis_is_due(self) -> bool:
        return self._redis is not None and self._clock.monotonic() >= self._retry_at

    async def _lost(self, error: Exception) -> None:
        if self.store == "ok":
            await log.awarning("redis away, explanations are cached in memory alone", error=repr(error))
        self.store = "memory"
        self._retry_at = self._clock.monotonic() + RETRY_S

    def _remembered(self, key: str) -> str | None:
        entry = self._memory.get(key)
        if entry is None:
            return None
        if entry[1] <= self._clock.monotonic():
            del self._memory[key]
            return None
        self._memory.move_to_end(key)
        return entry[0]

    def _remember(self, key: str, text: str) -> None:
        self._memory[key] = (text, self._clock.monotonic() + self._ttl_s)
        self._memory.move_to_end(key)
        while len(self._memory) > self._size:
            self._memory.popitem(last=False)
