"""Publishes the live bars of one shard: each once, in order, whoever else may think the shard is his."""

import asyncio
import contextlib

import msgspec

from heliograph.common import metrics, subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import Clock
from heliograph.common.errors import ConfigError, InvariantError, UnavailableError
from heliograph.common.events import BarBatch, encode
from heliograph.common.intervals import interval_ns
from heliograph.common.service import Delivery
from heliograph.fetcher.backpressure import Backpressure
from heliograph.fetcher.live.feed import Feed
from heliograph.fetcher.live.intake import Intake
from heliograph.fetcher.live.standing import LIVE, Held, header, held
from heliograph.fetcher.messages import bars_message, tick_message
from heliograph.fetcher.progress import ShardProgress
from heliograph.fetcher.quarantine import SERVICE
from heliograph.fetcher.ticks import due_tick

IDLE_S = 0.5
"""The longest that one step waits, so that a shard is handed over at once."""
HOLD_S = 0.1
SHORTEST_S = 0.01
MOST_WAITING = 1_000_000
"""Bars that a shard keeps while its consumers stand still; beyond it they are fetched again later."""


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """What the live processors of one process share.

    Attributes:
        symbols: of each shard.
        source: of the bars, the provider's name; `interval` theirs.
        look_back_ns: a symbol without bars for so long is forgotten.
        settle_s: how long bars of a minute wait for others.
        tick_ns: from the close of bars to the tick after them; 0 for no ticks.
        bars_ahead: bars of a shard that may wait for its slowest consumer.
        window_messages: batches published together at most.
        progress: the shards that are worked on, for `status`.
        turns: how many shards may append at once.
    """

    shards: int
    symbols: list[list[str]]
    source: str
    interval: str
    look_back_ns: int
    settle_s: float
    tick_ns: int
    bars_ahead: int
    window_messages: int
    bus: Bus
    clock: Clock
    feed: Feed
    backpressure: Backpressure
    progress: dict[int, ShardProgress]
    turns: asyncio.Semaphore


class LiveProcessor:
    """One shard of live bars.

    Its state is the stream: the newest message tells the newest bar of every symbol, and `append` lets a
    message follow only the one that this processor knows to be the last. Whatever is not published when a
    processor ends is asked of the provider again by the next one.
    """

    def __init__(self, shard: int, live: Live) -> None:
        self._shard = shard
        self._live = live
        self._held = Held(newest={})
        self._intake = Intake(shard, live.shards, (), live.interval, {})
        self._progress = ShardProgress(total=0, refused={})
        self._messages = 0
        self._ticked = 0
        self._counted = (0, 0)

    async def open(self) -> None:
        """Find the newest bar of every symbol, and ask for what came after it.

        Raises:
            InvariantError: the shard holds a replay, or another interval (which `start` has looked for).
            UnavailableError: the server does not say.
        """
        live = self._live
        try:
            self._held = held(await live.bus.last("INPUT", subjects.bars(self._shard)), live.interval)
        except ConfigError as error:
            raise InvariantError(str(error)) from error
        symbols = live.symbols[self._shard]
        self._intake = Intake(self._shard, live.shards, symbols, live.interval, self._held.newest)
        live.progress[self._shard] = self._progress
        live.feed.join(self._intake)

    async def handle(self, source: str, batch: list[Delivery]) -> None:  # noqa: ARG002 - the protocol's signature
        """Do one step: publish what is due, or wait for a moment.

        Raises:
            FencedError: another member has published on this shard.
            InvariantError: the provider refuses the key or what is asked for.
            UnavailableError: it is not known whether the step was stored.
        """
        try:
            await self._step()
        except BaseException:
            await self.close()
            raise
        self._note()

    async def close(self) -> None:
        """Leave the shard; whatever was published is durable."""
        self._live.feed.leave(self._intake)
        self._live.progress.pop(self._shard, None)

    def _note(self) -> None:
        """Tell `status` and the metrics how far the shard is."""
        counts = self._intake.counts
        self._progress.refused = counts.refused
        duplicates, gaps = self._counted
        metrics.LIVE_DUPLICATES.labels(self._live.source).inc(counts.duplicates - duplicates)
        metrics.LIVE_GAPS.labels(self._live.source).inc(counts.gaps - gaps)
        self._counted = (counts.duplicates, counts.gaps)

    async def _step(self) -> None:
        live, intake = self._live, self._intake
        live.feed.check()
        if intake.waiting > MOST_WAITING:
            raise UnavailableError(f"{intake.waiting} bars wait: to be fetched again when consumers follow")
        if intake.refused:
            await self._bury()
        await self._tick()
        limit = max(live.window_messages, live.bars_ahead // max(1, len(intake.symbols)))
        room = await live.backpressure.room(self._shard, limit, self._messages)
        if room == 0:
            await asyncio.sleep(HOLD_S)
            return
        async with live.turns:
            now = live.clock.monotonic()
            most = min(room, live.window_messages)
            batches = intake.window(now, live.settle_s, most, live.source, live.clock.now_ns())
            if batches:
                await self._publish(batches)
                return
        await asyncio.sleep(self._pause(now))

    def _pause(self, now: float) -> float:
        """Until a minute has settled; where none waits, no longer than one would take to settle."""
        following = self._intake.following(self._live.settle_s)
        wait = self._live.settle_s if following is None else following - now
        return min(IDLE_S, max(SHORTEST_S, wait))

    async def _tick(self) -> None:
        """Tell the shard that time has gone by since its newest bars, once."""
        if not self._held.close_ns:
            return
        now = self._live.clock.now_ns()
        ts = due_tick(self._held.close_ns, None, now, self._live.tick_ns)
        if ts is None or ts <= self._ticked:
            return
        await self._live.bus.publish([tick_message(self._shard, ts, now)])
        self._ticked = ts

    async def _publish(self, batches: list[BarBatch]) -> None:
        """Append batches, all or none."""
        live = self._live
        close_ns = max(self._held.close_ns, batches[-1].ts + interval_ns(live.interval))
        horizon = live.clock.now_ns() - live.look_back_ns
        newest = {s: start for s, start in self._intake.newest.items() if start >= horizon}
        subject = subjects.bars(self._shard)
        with contextlib.ExitStack() as spans:
            messages = [bars_message(self._shard, batch, spans) for batch in batches]
            told = header(live.interval, close_ns, newest, batches[-1])
            messages[-1] = msgspec.structs.replace(messages[-1], headers=messages[-1].headers | {LIVE: told})
            seq = await live.bus.append(messages, last_seq=self._held.last_seq, guard=subject)
        self._held = Held(newest=newest, close_ns=close_ns, last_seq=seq)
        bars = sum(len(batch.symbols) for batch in batches)
        self._messages += len(batches)
        self._progress.published += bars
        self._progress.total = self._progress.published
        live.backpressure.spend(self._shard, len(batches))
        metrics.BARS_PUBLISHED.labels(live.source).inc(bars)

    async def _bury(self) -> None:
        """Keep what was refused in DEAD."""
        refused, self._intake.refused = self._intake.refused, []
        now = self._live.clock.now_ns()
        buried = [found for each in refused for found in each.letters(0, len(each.parts), now)]
        subject = subjects.dead(SERVICE, self._shard)
        await self._live.bus.publish(
            [Message(subject=subject, data=encode(letter), msg_id=letter.id) for _, letter in buried]
        )
        for refusal, letter in buried:
            metrics.BARS_QUARANTINED.labels(refusal.label).inc(letter.rows)
