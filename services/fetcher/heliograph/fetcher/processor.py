"""Publishes one shard of the replay: each batch once, in order, whoever else may think the shard is his."""

import asyncio
import contextlib

import msgspec
import numpy as np

from heliograph.common import metrics, subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import Clock
from heliograph.common.errors import ConfigError, InvariantError
from heliograph.common.events import encode
from heliograph.common.service import Delivery
from heliograph.fetcher.backpressure import Backpressure
from heliograph.fetcher.health import HealthBook
from heliograph.fetcher.load import Replay
from heliograph.fetcher.messages import bars_message, tick_message
from heliograph.fetcher.pace import Pace
from heliograph.fetcher.progress import ShardProgress
from heliograph.fetcher.quarantine import SERVICE
from heliograph.fetcher.standing import Standing, headers, standing
from heliograph.fetcher.ticks import due_tick

IDLE_S = 0.5
"""The longest that one step waits, so that a shard is handed over at once."""
HOLD_S = 0.1
WINDOW_BARS = 65_536
LETTERS = 16
"""Dead letters of one step; each holds up to `quarantine.ROWS_PER_LETTER` bars."""


class Replaying(msgspec.Struct, frozen=True, kw_only=True):
    """What the processors of one process share.

    Attributes:
        provider: the `source` of the bars.
        progress: the shards that are worked on, for `status`.
        turns: how many shards may append at once. The stream takes one after the other anyway, and many at
            once only make each other's confirmations late.
        window_messages: batches published together at most.
        bars_ahead: bars of a shard that may wait for its slowest consumer.
        tick_ns: event time from the close of bars to the tick after them; 0 for no ticks.
    """

    replay: Replay
    provider: str
    bus: Bus
    clock: Clock
    pace: Pace
    backpressure: Backpressure
    health: HealthBook
    progress: dict[int, ShardProgress]
    turns: asyncio.Semaphore
    window_messages: int
    bars_ahead: int
    tick_ns: int = 0


class ReplayProcessor:
    """One shard of a replay.

    Its state is the stream: a message's header says which batch of which plan it is, and `append` lets a
    message follow only the one that this processor knows to be the last. So no batch is published twice or
    left out, whoever else may publish.
    """

    def __init__(self, shard: int, shared: Replaying) -> None:
        self._shard = shard
        self._shared = shared
        self._plan = shared.replay.plan
        self._refused = shared.replay.refused[shard]
        self._bus = shared.bus
        self._closes = self._plan.closes(shard)
        self._batches = self._plan.batches(shard)
        bars = self._plan.bars_before(shard, self._batches)
        self._limit = max(shared.window_messages, shared.bars_ahead * self._batches // max(1, bars))
        self._progress = ShardProgress(total=bars, refused=self._refused.counts())
        self._bars = Standing()
        self._dead = Standing()
        self._ticked = 0

    async def open(self) -> None:
        """Find where the shard's replay stands.

        Raises:
            InvariantError: the shard holds another replay than this one (which `start` has looked for).
            UnavailableError: the server does not say.
        """
        subject = subjects.bars(self._shard)
        dead = subjects.dead(SERVICE, self._shard)
        try:
            self._bars = standing(await self._bus.last("INPUT", subject), self._plan.fingerprint)
            self._dead = standing(await self._bus.last("DEAD", dead), self._plan.fingerprint)
        except ConfigError as error:
            raise InvariantError(str(error)) from error
        self._note()

    async def handle(self, source: str, batch: list[Delivery]) -> None:  # noqa: ARG002 - the protocol's signature
        """Do one step: publish what is due next, or wait for a moment.

        Raises:
            FencedError: another member has published on this shard.
            UnavailableError: it is not known whether the step was stored.
        """
        try:
            await self._step()
        except BaseException:
            self._shared.progress.pop(self._shard, None)
            raise
        self._note()

    async def close(self) -> None:
        """Leave the shard; whatever was published is durable."""
        self._shared.progress.pop(self._shard, None)

    def _note(self) -> None:
        """Tell `status` how far the shard is."""
        self._progress.published = self._plan.bars_before(self._shard, self._bars.position)
        self._progress.done = self._bars.position == self._batches and self._dead.position >= len(
            self._refused.parts
        )
        self._shared.progress[self._shard] = self._progress

    async def _step(self) -> None:
        if self._dead.position < len(self._refused.parts):
            await self._bury()
            return
        self._shared.health.succeeded(self._shared.provider)
        await self._tick()
        if self._bars.position == self._batches:
            await asyncio.sleep(IDLE_S)
            return
        due = int(np.searchsorted(self._closes, self._shared.pace.reached_ns(), side="right"))
        if due <= self._bars.position:
            wait = self._shared.pace.wait_s(self._following())
            await asyncio.sleep(min(IDLE_S, wait))
            return
        room = await self._shared.backpressure.room(self._shard, self._limit, self._bars.position)
        if room == 0:
            await asyncio.sleep(HOLD_S)
            return
        async with self._shared.turns:
            await self._publish(self._window_end(min(due, self._bars.position + room)))

    def _following(self) -> int:
        """The event time at which there is something to do: that of the next bars, or of the tick before."""
        position = self._bars.position
        bars = int(self._closes[position])
        tick = int(self._closes[position - 1]) + self._shared.tick_ns if position else 0
        return tick if self._ticked < tick < bars else bars

    async def _tick(self) -> None:
        """Tell the shard that time has gone by since its newest bars, once.

        A later owner of the shard, or a second one, may tell it again: that changes nothing.
        """
        position = self._bars.position
        if not position:
            return
        following = int(self._closes[position]) if position < self._batches else None
        reached = self._shared.pace.reached_ns()
        ts = due_tick(int(self._closes[position - 1]), following, reached, self._shared.tick_ns)
        if ts is None or ts <= self._ticked:
            return
        await self._bus.publish([tick_message(self._shard, ts, self._shared.clock.now_ns())])
        self._ticked = ts

    def _window_end(self, limit: int) -> int:
        """Where the next window ends: at most so many messages and bars, at least one message."""
        first = self._bars.position
        end = min(limit, first + self._shared.window_messages)
        while end > first + 1 and self._bars_of(first, end) > WINDOW_BARS:
            end = first + (end - first) // 2
        return end

    def _bars_of(self, first: int, end: int) -> int:
        return self._plan.bars_before(self._shard, end) - self._plan.bars_before(self._shard, first)

    async def _publish(self, end: int) -> None:
        """Append the batches up to `end`, all or none."""
        first = self._bars.position
        subject = subjects.bars(self._shard)
        now = self._shared.clock.now_ns()
        with contextlib.ExitStack() as spans:
            messages = [self._message(position, now, spans) for position in range(first, end)]
            seq = await self._bus.append(messages, last_seq=self._bars.last_seq, guard=subject)
        self._bars = Standing(position=end, last_seq=seq)
        self._shared.backpressure.spend(self._shard, end - first)
        metrics.BARS_PUBLISHED.labels(self._shared.provider).inc(self._bars_of(first, end))

    def _message(self, position: int, now: int, spans: contextlib.ExitStack) -> Message:
        bars = self._plan.bars(self._shard, position, self._shared.provider, now)
        return bars_message(self._shard, bars, spans, headers(position, self._plan.fingerprint))

    async def _bury(self) -> None:
        """Append the next dead letters, all or none."""
        first = self._dead.position
        subject = subjects.dead(SERVICE, self._shard)
        now = self._shared.clock.now_ns()
        buried = list(self._refused.letters(first, min(first + LETTERS, len(self._refused.parts)), now))
        messages = [
            Message(
                subject=subject,
                data=encode(letter),
                msg_id=letter.id,
                headers=headers(first + number, self._plan.fingerprint),
            )
            for number, (_, letter) in enumerate(buried)
        ]
        seq = await self._bus.append(messages, last_seq=self._dead.last_seq, guard=subject)
        self._dead = Standing(position=first + len(messages), last_seq=seq)
        for refusal, letter in buried:
            metrics.BARS_QUARANTINED.labels(refusal.label).inc(letter.rows)
