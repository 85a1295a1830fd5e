"""The sources of votes that this process answers for: requests in, votes and ticks out, and signs of life."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

import structlog

from heliograph.common import subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import NANOSECONDS, Clock
from heliograph.common.errors import UnavailableError
from heliograph.common.events import Enrich, Tick, VoteBatch, encode
from heliograph.common.ids import derive_id
from heliograph.common.service import Delivery
from heliograph.reasoning.cache import ExplanationCache
from heliograph.reasoning.votes.deadline import is_replayed, seconds_left
from heliograph.reasoning.votes.recent import RecentBars
from heliograph.reasoning.votes.record import Record
from heliograph.reasoning.votes.voter import Voter

LIFE_S = 1.0
"""How often event time is looked at for a sign of life."""
LIFE_APART_NS = 60 * NANOSECONDS
"""Event time between two signs of life of a source: well within the silence that is taken for an outage."""
TRIED_AGAIN_S = 600.0
"""A source that had no budget or no key gives signs of life again after so long."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class ShardVotes:
    """One shard: every request is acknowledged at once and answered meanwhile."""

    def __init__(self, shard: int, voters: Sequence[Voter], bus: Bus, clock: Clock) -> None:
        self._shard = shard
        self._voters = voters
        self._bus = bus
        self._clock = clock
        self._bars = RecentBars(bus, shard)
        self._tasks: set[asyncio.Task[None]] = set()
        self._from = 0
        self._due: set[int] = set()
        self._lived: dict[str, int] = {}

    async def open(self) -> None:
        """Know what was there before: of a replay it is not answered any more."""
        self._from = await self._bus.last_seq("REQUEST")

    def take(self, batch: Sequence[Delivery]) -> None:
        """Begin to answer; of several requests about a symbol the newest counts, the others have fallen."""
        now = self._clock.now_ns()
        newest = {delivery.event.symbol: delivery for delivery in batch}
        open_ = [
            delivery.event
            for delivery in newest.values()
            if seconds_left(delivery.event, now) > 0
            and not (is_replayed(delivery.event, now) and delivery.seq <= self._from)
        ]
        for voter in self._voters:
            asked = [request for request in open_ if concerns(request, voter.source)]
            if asked:
                self._begin(self._answer(voter, asked))
        for deadline in {request.deadline: request for request in open_}.values():
            self._begin(self._tick_at_deadline(deadline))

    async def close(self) -> None:
        """Give up what is under way: whoever waits for it takes the silence for an abstention."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def live(self, now_out: set[str]) -> None:
        """Give a sign of life of each source that is not out, where event time has moved on.

        Raises:
            UnavailableError: the server does not answer.
        """
        event_time = await self._bars.event_time()
        if event_time is None:
            return
        due = [
            voter.source
            for voter in self._voters
            if voter.source not in now_out
            and not 0 <= event_time - self._lived.get(voter.source, -LIFE_APART_NS) < LIFE_APART_NS
        ]
        await self._publish([self._votes(source, event_time, [], "alive") for source in due])
        self._lived |= dict.fromkeys(due, event_time)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except UnavailableError as error:
            await log.awarning("requests not answered", shard=self._shard, error=str(error))
        except Exception:
            await log.aexception("requests not answered", shard=self._shard)

    async def _answer(self, voter: Voter, requests: list[Enrich]) -> None:
        by_id = {request.id: request for request in requests}
        async for records in voter.answers(requests, self._bars):
            told = [(by_id[name], record) for name, record in records.items()]
            votes = self._votes(voter.source, max(r.ts for r, _ in told), told, "answer")
            await self._publish([votes])
            # Only now: decisions fall at the tick, with what was there before it.
            await self._publish([self._tick(votes.ts, derive_id("tick", votes.id))])

    async def _tick_at_deadline(self, request: Enrich) -> None:
        """Let event time reach a deadline, so that no decision waits for the next bar; once for all."""
        if request.deadline in self._due:
            return
        self._due.add(request.deadline)
        try:
            await asyncio.sleep(seconds_left(request, self._clock.now_ns()))
            tick = self._tick(request.deadline, derive_id("tick", self._shard, request.deadline))
            await self._publish([tick])
        finally:
            self._due.discard(request.deadline)

    def _votes(self, source: str, ts: int, told: list[tuple[Enrich, Record]], what: str) -> VoteBatch:
        named = sorted(told, key=lambda one: one[0].symbol)
        return VoteBatch(
            id=derive_id("votes", source, what, self._shard, ts, *(request.id for request, _ in named)),
            cause=named[0][0].id if named else "",
            ts=ts,
            received=self._clock.now_ns(),
            source=source,
            symbols=[request.symbol for request, _ in named],
            direction=[record.direction for _, record in named],
            confidence=[record.confidence for _, record in named],
            observed=[record.observed for _, record in named],
        )

    def _tick(self, ts: int, name: str) -> Tick:
        return Tick(id=name, ts=ts, received=self._clock.now_ns())

    async def _publish(self, events: Iterable[VoteBatch | Tick]) -> None:
        messages = [
            Message(
                subject=subjects.votes(self._shard)
                if isinstance(e, VoteBatch)
                else subjects.tick(self._shard),
                data=encode(e),
                msg_id=e.id,
            )
            for e in events
        ]
        await self._bus.publish(messages)


def concerns(request: Enrich, source: str) -> bool:
    """Whether a source is asked; a request of the first version names none, and asks all."""
    return source in request.sources if isinstance(request.sources, list) else True


class Votes:
    """The sources of a process. `start` it, give it shards, `close` it, and with it their cache."""

    def __init__(self, voters: Sequence[Voter], cache: ExplanationCache, bus: Bus, clock: Clock) -> None:
        self._voters = voters
        self._cache = cache
        self._bus = bus
        self._clock = clock
        self._shards: dict[int, ShardVotes] = {}
        self._out_until: dict[str, float] = {}
        self._living: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Give signs of life from now on."""
        self._living = asyncio.create_task(self._live())

    async def open(self, shard: int) -> ShardVotes:
        """Answer for a shard.

        Raises:
            UnavailableError: the server does not answer.
        """
        await self.leave(shard)
        made = ShardVotes(shard, self._voters, self._bus, self._clock)
        await made.open()
        self._shards[shard] = made
        return made

    async def leave(self, shard: int) -> None:
        """Answer no more for a shard."""
        if (left := self._shards.pop(shard, None)) is not None:
            await left.close()

    def status(self) -> dict[str, dict[str, int]]:
        """Source → requests since the start by how they ended."""
        return {voter.source: dict(voter.counts) for voter in self._voters}

    async def close(self) -> None:
        """Stop everything."""
        if self._living is not None:
            self._living.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._living
        for shard in list(self._shards):
            await self.leave(shard)
        await self._cache.close()

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(LIFE_S)
            out = self._out()
            for shard in list(self._shards.values()):
                try:
                    await shard.live(out)
                except UnavailableError as error:
                    await log.awarning("no sign of life", error=str(error))

    def _out(self) -> set[str]:
        """The sources that cannot answer now, for want of money or keys."""
        now = self._clock.monotonic()
        for voter in self._voters:
            if voter.out:
                voter.out = False
                self._out_until[voter.source] = now + TRIED_AGAIN_S
        return {source for source, until in self._out_until.items() if until > now}
