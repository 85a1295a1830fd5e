"""Money and calls of metered providers, reserved before each call and settled after it.

With Redis the limits hold over all replicas to the cent and to the call. When Redis is lost, each replica may
spend its share: what was surely left, by the members that live; and since the calls of the others are
unknown, none calls for one window, and then each its share of the calls. When Redis is back, every replica
tells it what it has spent meanwhile, and keeps to its share for one window more, until all have.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from heliograph.common import metrics
from heliograph.common.clock import NANOSECONDS, Clock, member_id
from heliograph.common.errors import InvariantError
from heliograph.common.spend.books import Books
from heliograph.common.spend.meter import Denied, Grant, Meter
from heliograph.common.spend.shared import MICROSECONDS, SharedSpend, Told

AT_ONCE = 16
"""Scripts under way at once: Redis runs one after another anyway."""
RETRY_S = 1.0
WATCH_S = 5.0
"""How often the store is looked at without a call: it may have lost its data."""
LOST = (RedisError, OSError, TimeoutError)
Live = Callable[[], Awaitable[int | None]]

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Spend:
    """The limits of some meters. `reserve` before a call, `settle` after it, `close` at the end.

    `live` tells how many replicas there are; None where that is not known now.
    """

    def __init__(self, redis: Redis | None, clock: Clock, live: Live) -> None:
        self._clock = clock
        self._live = live
        # Not the member's name: that one may come again after a restart, with a total that begins anew.
        self._id = member_id() + member_id()
        self._shared = SharedSpend(redis, self._id) if redis is not None else None
        self._books: dict[str, Books] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._count = 0
        self._connected = redis is not None
        self._alone = False
        self._quiet_until = float("-inf")
        self._trusted_at = float("-inf")
        self._members = 0
        self._changing = asyncio.Lock()
        self._meeting = asyncio.Lock()
        self._closing = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @property
    def alone(self) -> bool:
        """Whether this replica spends its share only, because Redis is away or was until a moment ago."""
        return self._alone

    async def reserve(self, meter: Meter, *, hold: int, estimate: int, wait_s: float = 0.0) -> Grant | Denied:
        """Leave for one call that costs at most `hold` nanodollars; waits so long for room in the window.

        Raises:
            InvariantError: the hold is more than the meter's largest.
        """
        if hold > meter.largest:
            raise InvariantError(f"hold: {hold} for {meter.name}, expected at most {meter.largest}")
        deadline = self._clock.monotonic() + wait_s
        while True:
            found = await self._reserve(meter, hold, estimate)
            self._show(meter)
            if isinstance(found, Grant):
                return found
            left = deadline - self._clock.monotonic()
            if found.reason == "budget" or found.wait_s > left:
                metrics.SPEND_DENIED.labels(meter.name, found.reason).inc()
                return found
            await asyncio.sleep(found.wait_s)

    async def settle(self, grant: Grant, cost: int) -> None:
        """The call has ended and cost so many nanodollars; never fails, and a second time changes nothing."""
        books = self._of(grant.meter)
        added = books.settled(grant, cost)
        metrics.SPEND_DOLLARS.labels(grant.meter.name).inc(added / NANOSECONDS)
        if self._shared is not None and self._connected:
            try:
                await self._settle(self._shared, books, grant.day, grant.id)
            except LOST as error:
                await self._lost(repr(error))
        self._show(grant.meter)

    def spent(self, meter: Meter) -> int:
        """Nanodollars that all replicas have spent and hold today, as seen last."""
        day = self._of(meter).days.get(self._today())
        return max(day.committed, day.own) if day else 0

    async def standing(self, meter: Meter) -> tuple[int, int]:
        """Nanodollars that all replicas have spent today, and hold for calls; as seen last without Redis."""
        if self._shared is not None and self._connected:
            # Whoever only looks changes nothing: that Redis is away is found by the next reservation.
            with contextlib.suppress(*LOST):
                return await self._shared.standing(meter.name, self._today())
        day = self._of(meter).days.get(self._today())
        return day.standing(self._id) if day else (0, 0)

    async def close(self) -> None:
        """Stop looking at Redis; a look under way ends first, since its client may swallow a cancellation."""
        self._closing.set()
        if self._watching:
            await self._watching

    def _show(self, meter: Meter) -> None:
        metrics.SPEND_TODAY.labels(meter.name).set(self.spent(meter) / NANOSECONDS)
        metrics.SPEND_BUDGET.labels(meter.name).set(meter.daily_budget / NANOSECONDS)

    def _of(self, meter: Meter) -> Books:
        if meter.name not in self._books:
            self._books[meter.name] = Books(meter)
        return self._books[meter.name]

    def _today(self) -> str:
        return datetime.fromtimestamp(self._clock.now_ns() / NANOSECONDS, UTC).date().isoformat()

    def _day_began(self) -> float:
        """When today began, in monotonic seconds."""
        seconds = self._clock.now_ns() / NANOSECONDS % timedelta(days=1).total_seconds()
        return self._clock.monotonic() - seconds

    async def _reserve(self, meter: Meter, hold: int, estimate: int) -> Grant | Denied:
        books, today = self._of(meter), self._today()
        await self._start(books, today)
        self._count += 1
        name = f"{self._id}:{self._count}"
        grant = Grant(id=name, meter=meter, day=today, hold=hold, estimate=estimate, alone=self._alone)
        if self._connected and self._shared is not None:
            try:
                return await self._from_redis(self._shared, books, grant)
            except LOST as error:
                await self._lost(repr(error))
        return self._from_share(books, _alone(grant))

    async def _start(self, books: Books, today: str) -> None:
        """See to it that the day has its books, and that somebody watches Redis."""
        if self._shared is None and not self._alone:
            async with self._changing:
                if not self._alone:
                    await self._enter("no redis", 0.0)
        if today not in books.days:
            if self._alone and (books.generation is not None or self._shared is None):
                books.take_share_of_new_day(today, self._members, self._clock.monotonic())
            else:
                books.open_day(today, self._day_began())
        if self._shared is not None and self._watching is None:
            self._watching = asyncio.create_task(self._watch(self._shared))

    async def _from_redis(self, shared: SharedSpend, books: Books, grant: Grant) -> Grant | Denied:
        """Leave of the store; while it is not trusted, of this replica's share besides."""
        if books.generation is None:
            async with self._meeting:
                if books.generation is None:
                    await self._meet(shared, books, grant.day)
        if self._alone and self._clock.monotonic() >= self._trusted_at:
            await self._trust()
        if self._alone:
            share = self._from_share(books, grant := _alone(grant))
            if isinstance(share, Denied):
                return share
        known = books.generation
        try:
            async with self._turn:
                told = await shared.reserve(books, grant)
        except LOST:
            books.revoked(grant)
            raise
        if told.repaired:
            metrics.SPEND_LOST.labels(books.meter.name).inc(told.repaired)
        if told.what != "granted":
            books.revoked(grant)
        if told.what == "stale":
            async with self._meeting:
                if books.generation == known:
                    await self._meet(shared, books, grant.day)
            return await self._from_redis(shared, books, grant)
        return self._told(books, grant, told)

    def _told(self, books: Books, grant: Grant, told: Told) -> Grant | Denied:
        if told.what == "rate":
            wait = told.value / MICROSECONDS
            return Denied(reason="rate", wait_s=wait, detail=f"{books.meter.calls} calls in the window")
        day, now = books.days[grant.day], self._clock.monotonic()
        day.saw(told.value, now)
        if told.what == "budget":
            return Denied(reason="budget", detail=_said(told.value, grant, grant.meter.daily_budget))
        day.totals = told.totals
        if grant.id not in day.open:
            books.called(grant, now)
        return grant

    def _from_share(self, books: Books, grant: Grant) -> Grant | Denied:
        """Leave out of this replica's share of the money and of the calls."""
        now, day = self._clock.monotonic(), books.days[grant.day]
        if day.used + grant.hold > day.share:
            return Denied(reason="budget", detail=f"share: {_said(day.used, grant, day.share)}")
        if now < self._quiet_until:
            return Denied(
                reason="rate", wait_s=self._quiet_until - now, detail="the others' calls are unknown"
            )
        recent, share = books.recent(now), books.meter.calls // max(1, self._members)
        if len(recent) >= share:
            wait = recent[len(recent) - share][0] + books.meter.window_s - now if share else float("inf")
            return Denied(reason="rate", wait_s=wait, detail=f"{share} calls in the window, its share")
        books.called(grant, now)
        return grant

    async def _settle(self, shared: SharedSpend, books: Books, day: str, call: str) -> None:
        async with self._turn:
            if day not in books.days:
                return
            if await shared.settle(books, day, call, self._clock.monotonic()):
                books.open_day(day, self._day_began()).unsettled.discard(call)

    async def _meet(self, shared: SharedSpend, books: Books, today: str) -> None:
        """Tell the store what is known here: it may be new to this process, or have lost its data."""
        known = books.generation
        books.open_day(today, self._day_began())
        for day in [name for name in books.days if name >= _before(today, 1)]:
            async with self._turn:
                told = set(books.days[day].open)
                books.generation = await shared.merge(books, day, self._clock.monotonic())
            # A call that was settled meanwhile may have been told as open after its end: settle it again.
            books.days[day].unsettled |= told - set(books.days[day].open)
        if known is not None and known != books.generation:
            await self._distrust("redis has lost its data")
        if books.cleaned != today:
            await shared.forget(books.meter.name, _before(today, 2))
            books.cleaned = today

    async def _distrust(self, why: str) -> None:
        """Keep to the share for one window, until every replica has told the store what it knows."""
        async with self._changing:
            window = max(books.meter.window_s for books in self._books.values())
            if not self._alone:
                await self._enter(why, window)
            self._trusted_at = self._clock.monotonic() + window + 2 * WATCH_S

    async def _trust(self) -> None:
        self._alone = False
        metrics.SPEND_ALONE.set(0)
        await log.ainfo("the spending is shared again")

    async def _lost(self, why: str) -> None:
        async with self._changing:
            self._connected = False
            if not self._alone:
                await self._enter(why, max(books.meter.window_s for books in self._books.values()))

    async def _enter(self, why: str, quiet_s: float) -> None:
        """From here on this replica has its share only."""
        self._members = max(await self._live() or 0, self._members, 1)
        now = self._clock.monotonic()
        self._alone = True
        self._quiet_until = now + quiet_s
        for books in self._books.values():
            books.take_shares(self._members, now, shared=self._shared is not None)
        metrics.SPEND_ALONE.set(1)
        await log.awarning("each replica spends its share only", why=why, members=self._members)

    async def _closes_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._closing.wait()
        return False

    async def _watch(self, shared: SharedSpend) -> None:
        """Look at Redis from time to time; when it is back, tell it what was spent without it."""
        while not await self._closes_within(WATCH_S if self._connected else RETRY_S):
            try:
                for books in list(self._books.values()):
                    await self._meet(shared, books, self._today())
                    self._show(books.meter)
                if not self._connected:
                    await self._distrust("redis is back")
                    self._connected = True
                await self._settle_rest(shared)
            except LOST as error:
                if self._connected:
                    await self._lost(repr(error))

    async def _settle_rest(self, shared: SharedSpend) -> None:
        """Settle in Redis what could only be settled here."""
        for books in list(self._books.values()):
            for name, day in list(books.days.items()):
                for call in list(day.unsettled):
                    await self._settle(shared, books, name, call)


def _before(day: str, days: int) -> str:
    return (datetime.fromisoformat(day) - timedelta(days=days)).date().isoformat()


def _alone(grant: Grant) -> Grant:
    return msgspec.structs.replace(grant, alone=True)


def _said(used: int, grant: Grant, limit: int) -> str:
    return (
        f"${used / NANOSECONDS:.4f} of ${limit / NANOSECONDS:.4f} used, ${grant.hold / NANOSECONDS:.4f} asked"
    )
