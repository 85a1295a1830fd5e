"""The spending of all replicas in Redis: three scripts, each of which happens at once or not at all."""

from importlib import resources
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from heliograph.common.clock import member_id
from heliograph.common.errors import ConfigError
from heliograph.common.spend.books import Books
from heliograph.common.spend.meter import Grant

PREFIX = "heliograph:v1:spend:"
TIMEOUT_S = 2.0
HOLD_S = 30.0
"""So long a call may last; then its process counts as dead."""
MICROSECONDS = 1_000_000


class Told(msgspec.Struct, frozen=True):
    """What Redis answered to a reservation; `value` is the sum committed, or the microseconds to wait."""

    what: str
    value: int = 0
    repaired: int = 0
    totals: dict[str, int] = {}


def connect(url: str) -> Redis | None:
    """A client for Redis, not yet connected; None without a URL. It tries twice, as each script may run so.

    Raises:
        ConfigError: the URL is not one of a Redis.
    """
    if not url:
        return None
    again = Retry(NoBackoff(), 1)
    try:
        return Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=again)
    except ValueError as error:
        raise ConfigError(f"redis_url: {error}") from None


def script(name: str) -> str:
    """The text of a script."""
    return resources.files("heliograph.common.spend").joinpath(f"{name}.lua").read_text(encoding="utf-8")


def keys(meter: str, day: str) -> list[str]:
    """The keys of a meter's day; the braces keep them on one node of a cluster."""
    base = f"{PREFIX}{{{meter}}}:"
    parts = ("totals", "members", "holds", "amounts", "lost")
    return [base + "generation", *(f"{base}{day}:{part}" for part in parts), base + "calls"]


class SharedSpend:
    """The scripts, for one member; every method raises what the client of Redis raises."""

    def __init__(self, redis: Redis, member: str) -> None:
        self._redis = redis
        self._member = member
        self._reserve = redis.register_script(script("reserve"))
        self._settle = redis.register_script(script("settle"))
        self._merge = redis.register_script(script("merge"))

    async def reserve(self, books: Books, grant: Grant) -> Told:
        """Ask for leave; `stale` where the store is not the one that this member knows."""
        meter = books.meter
        answer: list[Any] = await self._reserve(
            keys=keys(meter.name, grant.day),
            args=[
                books.generation or "",
                grant.id,
                grant.hold,
                grant.estimate,
                meter.daily_budget,
                meter.calls,
                int(meter.window_s * MICROSECONDS),
                int(HOLD_S * MICROSECONDS),
            ],
        )
        what = answer[0].decode()
        if what == "stale":
            return Told(what)
        totals = _totals(answer[3]) if what == "granted" else {}
        return Told(what, int(answer[1]), int(answer[2]), totals)

    async def settle(self, books: Books, day: str, call: str, now: float) -> bool:
        """Take a call's hold away and this member's total in; whether the store is the one known."""
        known = books.days[day]
        answer: list[Any] = await self._settle(
            keys=keys(books.meter.name, day)[:6],
            args=[books.generation or "", call, self._member, known.own],
        )
        if answer[0] != b"settled":
            return False
        known.saw(int(answer[1]), now)
        return True

    async def merge(self, books: Books, day: str, now: float) -> str:
        """Bring all that this member knows of a day into the store; the store's generation."""
        known = books.days[day]
        totals = known.totals | {self._member: known.own}
        held = [
            field
            for grant in known.open.values()
            for field in (grant.id, grant.hold, grant.estimate, int(HOLD_S * MICROSECONDS))
        ]
        recent = books.recent(now)
        called = [field for at, call in recent for field in (call, int((now - at) * MICROSECONDS))]
        answer: list[Any] = await self._merge(
            keys=keys(books.meter.name, day),
            args=[
                member_id() + member_id(),
                int(books.meter.window_s * MICROSECONDS),
                len(totals),
                len(known.open),
                len(recent),
                *(field for pair in totals.items() for field in pair),
                *held,
                *called,
            ],
        )
        known.saw(int(answer[1]), now)
        known.totals = _totals(answer[2])
        return str(answer[0].decode())

    async def standing(self, meter: str, day: str) -> tuple[int, int]:
        """Nanodollars that all members have spent on a day, and those that calls under way hold."""
        totals = keys(meter, day)[1]
        # The client's types are of both its kinds, one that waits and one that does not.
        read: Any = self._redis.hmget(totals, ["spent", "lost", "held"])
        spent, lost, held = (int(amount or 0) for amount in await read)
        return spent + lost, held

    async def forget(self, meter: str, day: str) -> None:
        """Delete a day that is over; its keys have no time to live, since such keys may be evicted."""
        await self._redis.delete(*keys(meter, day)[1:-1])


def _totals(flat: list[bytes]) -> dict[str, int]:
    return {flat[i].decode(): int(flat[i + 1]) for i in range(0, len(flat), 2)}
