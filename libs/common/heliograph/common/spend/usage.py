"""What metered providers were used for, day by day over all replicas: counts for people, not limits.

Each process keeps its own table of a day and writes the whole of it under its own name, so that a second
writing changes nothing. Without Redis the answer is that of this process alone.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from heliograph.common.clock import NANOSECONDS, Clock, member_id

PREFIX = "heliograph:v1:usage:"
WRITE_S = 1.0
"""A process that dies loses the counts of so long; its money is in the budgets all the same."""
KEPT = timedelta(days=62)
DAYS_HELD = 2
LOST = (RedisError, OSError, TimeoutError)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Use(msgspec.Struct, kw_only=True):
    """Counts of one provider and purpose on one day; an empty name where no provider has a part in it.

    Attributes:
        asked: questions, however they were answered; `cached` of them by an earlier answer, for nothing.
        calls: requests that went out, hedges and retries included; `failures` of them gave no answer.
        cost: nanodollars, as billed or estimated.
        signals: that were explained.
    """

    provider: str = ""
    purpose: str = ""
    asked: int = 0
    cached: int = 0
    calls: int = 0
    failures: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: int = 0
    signals: int = 0

    @property
    def name(self) -> tuple[str, str]:
        """What the counts are of."""
        return self.provider, self.purpose

    def add(self, other: "Use") -> None:
        """Add the counts of another one to these."""
        for field in COUNTS:
            setattr(self, field, getattr(self, field) + getattr(other, field))


COUNTS = ("asked", "cached", "calls", "failures", "tokens_in", "tokens_out", "cost", "signals")
_decoder = msgspec.json.Decoder(list[Use])


class Usage:
    """The counts of a process, and those of all replicas. `close` it at the end; the client stays open."""

    def __init__(self, redis: Redis | None, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._id = member_id() + member_id()
        self._days: dict[str, dict[tuple[str, str], Use]] = {}
        self._changed: set[str] = set()
        self._writing: asyncio.Task[None] | None = None

    def today(self) -> str:
        """The day in UTC, as `2026-03-02`."""
        return datetime.fromtimestamp(self._clock.now_ns() / NANOSECONDS, UTC).date().isoformat()

    def add(self, use: Use) -> None:
        """Count; called on the event loop, it is written a moment later."""
        day = self.today()
        if day not in self._days:
            self._days[day] = {}
            for old in sorted(self._days)[:-DAYS_HELD]:
                del self._days[old]
                self._changed.discard(old)
        self._days[day].setdefault(use.name, Use(provider=use.provider, purpose=use.purpose))
        self._days[day][use.name].add(use)
        self._changed.add(day)
        if self._redis is not None and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write_soon(self._redis))

    async def of(self, days: Sequence[str]) -> dict[str, list[Use]]:
        """Day → counts of all replicas; of this process alone where Redis does not answer. Never fails."""
        tables: dict[str, dict[str, list[Use]]] = {day: {} for day in days}
        if self._redis is not None and days:
            try:
                async with self._redis.pipeline(transaction=False) as pipe:
                    for day in days:
                        pipe.hgetall(PREFIX + day)
                    for day, found in zip(days, await pipe.execute(), strict=True):
                        tables[day] = {name.decode(): _decoder.decode(table) for name, table in found.items()}
            except (*LOST, msgspec.DecodeError) as error:
                await log.awarning("usage of the other replicas not known", error=repr(error))
        for day in days:
            if day in self._days:
                tables[day][self._id] = list(self._days[day].values())
        return {day: summed(use for table in tables[day].values() for use in table) for day in days}

    async def close(self) -> None:
        """Write what is not yet written."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._redis is not None and self._changed:
            with contextlib.suppress(*LOST):
                await self._write(self._redis)

    async def _write_soon(self, redis: Redis) -> None:
        while self._changed:
            await asyncio.sleep(WRITE_S)
            try:
                await self._write(redis)
            except LOST as error:
                await log.awarning("usage not written, it is tried again", error=repr(error))

    async def _write(self, redis: Redis) -> None:
        written, self._changed = self._changed, set()
        try:
            async with redis.pipeline(transaction=False) as pipe:
                for day in written:
                    pipe.hset(PREFIX + day, self._id, msgspec.json.encode(list(self._days[day].values())))
                    pipe.expire(PREFIX + day, KEPT)
                await pipe.execute()
        except BaseException:
            self._changed |= written & set(self._days)
            raise


def summed(uses: Iterable[Use]) -> list[Use]:
    """The sums by provider and purpose, in the order of their names."""
    found: dict[tuple[str, str], Use] = {}
    for use in uses:
        found.setdefault(use.name, Use(provider=use.provider, purpose=use.purpose)).add(use)
    return [found[name] for name in sorted(found)]


def days_of_month(day: str) -> list[str]:
    """The days of a month up to one of its days."""
    last = date.fromisoformat(day)
    return [last.replace(day=n).isoformat() for n in range(1, last.day + 1)]
