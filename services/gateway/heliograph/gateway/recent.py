"""An answer that many clients ask for at once, fetched once and held for a moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """The result of `fetch`, at most `ttl_s` seconds old; those who ask meanwhile share one call."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], ttl_s: float, now: Callable[[], float]) -> None:
        self._fetch = fetch
        self._ttl_s = ttl_s
        self._now = now
        self._lock = asyncio.Lock()
        self._held: tuple[float, T] | None = None

    async def get(self) -> T:
        """The held result, or a new one; a failure is raised and not held."""
        async with self._lock:
            if self._held is None or self._now() - self._held[0] >= self._ttl_s:
                value = await self._fetch()
                self._held = (self._now(), value)
            return self._held[1]
