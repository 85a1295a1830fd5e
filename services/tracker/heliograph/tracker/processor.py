"""One shard of the tracker: signals and reasons into the record, bars onto the open signals.

Why nothing is lost or doubled, wherever the process dies:

*Before a commit*: nothing was acknowledged, so the messages come again; what they lead to is the same, since
an outcome depends only on its signal and on the order of INPUT.

*Between the commit of signals and their catch-up, or an acknowledgement*: the signals are loaded as open by
`open`, which shows them every bar from their own `input_seq` to the shard's position; their redelivery finds
them followed (or ended, and then only publishes the outcome again).

*Between the commit of outcomes and their publication*: `unfinished` still holds the signals, so `open`
publishes every outcome that it finds there; its id makes a repeat no second event.

*Between the publication and `finish` or an acknowledgement*: the same, and the bars that come again find the
signals gone.

*Bars acknowledged without an outcome* need no record: a start shows the open signals all bars up to the
acknowledged position from the stream. A former owner's late acknowledgement may move that position after it
was read; the first delivery then shows a hole before it, which is read from the stream.

*Bars that INPUT has dropped* (see `gaps`): a start takes those of open signals from the archive.

*Two owners*: each start takes a new epoch of the shard; a write under an older one is refused in its own
transaction, and bars without outcomes are acknowledged only after a look at the epoch.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import msgspec
import structlog

from heliograph.common import metrics, subjects, telemetry
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import InputError, InvariantError, PoisonError, UnavailableError
from heliograph.common.events import BarBatch, Outcome, Signal
from heliograph.common.service import Delivery
from heliograph.common.standing import OpenShard
from heliograph.tracker import gaps, leases, record
from heliograph.tracker.database import Database
from heliograph.tracker.engine import OpenSignals
from heliograph.tracker.leases import Lease
from heliograph.tracker.recent import RecentBatches
from heliograph.tracker.record import StoredOutcome
from heliograph.tracker.rows import outcome_row, reason_row, signal_row
from heliograph.tracker.settings import TrackerSettings
from heliograph.tracker.writer import Writer

INPUT = "INPUT"
LOOK_S = 10.0
"""Seconds between two looks whether INPUT has dropped what was not yet seen."""
SIGNAL_ATTRIBUTE = "heliograph.signal"

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
_batches = msgspec.json.Decoder(BarBatch)


class TrackerProcessor:
    """Follows the signals of one shard."""

    def __init__(
        self,
        shard: int,
        *,
        bus: Bus,
        database: Database,
        writer: Writer,
        settings: TrackerSettings,
        member: str,
    ) -> None:
        self._shard = shard
        self._bus = bus
        self._database = database
        self._writer = writer
        self._settings = settings
        self._member = member
        self._following = OpenSignals(settings.costs)
        self._traces: dict[str, str] = {}
        self._lease = Lease(shards=settings.shards, shard=shard, epoch=0)
        self._position = 0
        self._recent = RecentBatches(0, batches=1, size=1)
        self._opened = False
        self._delivered = False
        self._looked = 0
        self._looked_at = SYSTEM_CLOCK.monotonic()

    @property
    def open_signals(self) -> int:
        """How many signals are followed."""
        return len(self._following)

    def standing(self, symbol: str | None, limit: int) -> OpenShard | None:
        """How the open signals of the shard stand, the newest `limit` one by one; None when closed."""
        if not self._opened:
            return None
        sums, newest = self._following.standing(symbol, limit)
        return OpenShard(position=self._position, sums=sums, newest=newest)

    @property
    def position(self) -> int:
        """The sequence in INPUT up to which the open signals have seen the bars."""
        return self._position

    async def open(self) -> None:
        """Take a new epoch, publish what may not have been published, bring the open signals up to date."""
        self._lease = await leases.take(self._database, self._settings.shards, self._shard, self._member)
        acknowledged = await self._bus.ack_floor(INPUT, f"tracker-{self._shard}-bars")
        # What INPUT no longer holds cannot be delivered either: `_follow` finds the signals that miss it.
        self._position = max(acknowledged, await self._bus.first_seq(INPUT) - 1)
        self._looked = self._position
        self._recent = RecentBatches(
            self._position, batches=self._settings.recent_batches, size=self._settings.recent_bytes
        )
        opened, ended = await record.unfinished(self._database, self._lease.shards, self._shard)
        await self._publish(ended)
        self._traces = {o.signal.id: o.traceparent for o in opened}
        await self._follow([o.signal for o in opened])
        self._opened = True
        await log.ainfo(
            "shard opened",
            shard=self._shard,
            epoch=self._lease.epoch,
            position=self._position,
            open=len(self._following),
            published_again=len(ended),
        )

    async def handle(self, source: str, batch: list[Delivery]) -> None:
        """Handle signals, reasons or bars; on return every result is durable and published.

        Raises:
            UnavailableError: Postgres or NATS is away.
            PoisonError: a message cannot be recorded or applied.
            FencedError: another member has taken the shard.
        """
        if source == "signals":
            await self._signals(batch)
        elif source == "reasons":
            await self._reasons(batch)
        elif source == "bars":
            await self._bars(batch)
        else:
            raise InvariantError(f"source: {source!r}, expected signals, reasons or bars")

    async def close(self) -> None:
        """Let go of the shard; nothing waits, since every handled batch is durable."""
        self._opened = False
        self._following = OpenSignals(self._settings.costs)

    async def _signals(self, batch: list[Delivery]) -> None:
        coming = {d.event.id: d for d in reversed(batch) if d.event.id not in self._following}
        deliveries = list(reversed(coming.values()))
        if not deliveries:
            return
        with contextlib.ExitStack() as spans:
            for delivery in deliveries:
                self._span(spans, "record", delivery, delivery.event.id)
            new = await self._writer.write(self._lease, [signal_row(self._lease, d) for d in deliveries])
        ended = await self._publish_again([i for i in coming if i not in new])
        opening = [d for d in deliveries if d.event.id not in ended]
        self._traces |= {d.event.id: d.headers.get("traceparent", "") for d in opening}
        await self._follow([d.event for d in opening])

    async def _reasons(self, batch: list[Delivery]) -> None:
        first = {d.event.signal: d for d in reversed(batch)}
        with contextlib.ExitStack() as spans:
            for delivery in first.values():
                self._span(spans, "record reason", delivery, delivery.event.signal)
            await self._writer.write(self._lease, [reason_row(self._lease, d) for d in first.values()])

    async def _bars(self, batch: list[Delivery]) -> None:
        ended: list[Outcome] = []
        if not self._delivered:
            ended += [o async for o in self._bars_before(batch[0].seq)]
            self._delivered = True
        for delivery in batch:
            if delivery.seq > self._position:
                ended += self._move(delivery.seq, delivery.data, delivery.event)
        await self._look_for_drops()
        if ended:
            await self._end(ended)
        else:
            await self._writer.check(self._lease)

    async def _look_for_drops(self) -> None:
        """Whether INPUT has dropped bars before this shard had seen them: then a new start asks the archive.

        What it drops later than the position of the last look may have been bars that were never delivered.
        """
        if SYSTEM_CLOCK.monotonic() - self._looked_at < LOOK_S:
            return
        first = await self._bus.first_seq(INPUT)
        if self._looked + 1 < first and self._following:
            raise UnavailableError(
                f"{INPUT} begins at {first}, shard {self._shard} saw it up to {self._looked}: start again"
            )
        self._looked, self._looked_at = self._position, SYSTEM_CLOCK.monotonic()

    async def _bars_before(self, seq: int) -> AsyncIterator[Outcome]:
        """Bars between the position and the first delivery, acknowledged by a former owner meanwhile."""
        async for missed, data in self._stored(self._position, seq - 1):
            batch = decoded(data)
            if batch is not None:
                for outcome in self._move(missed, data, batch):
                    yield outcome

    def _move(self, seq: int, data: bytes, batch: BarBatch) -> list[Outcome]:
        try:
            ended = self._following.apply(seq, batch)
        except InputError as error:
            raise PoisonError(f"bars: {error}") from error
        self._recent.add(seq, data)
        self._position = seq
        return ended

    async def _follow(self, signals: Sequence[Signal]) -> None:
        """Open signals; those older than the position first see the bars that they have missed."""
        late = [s for s in signals if s.input_seq < self._position]
        self._following.absorb(
            OpenSignals(self._settings.costs, (s for s in signals if s.input_seq >= self._position))
        )
        if not late:
            return
        oldest = min(s.input_seq for s in late)
        # What is in memory need not be in the stream.
        first = await self._bus.first_seq(INPUT) if oldest < self._recent.since else 0
        lost = [s for s in late if s.input_seq + 1 < first]
        behind, ended = await gaps.refill(self._bus, self._database, self._settings.costs, lost, first)
        behind.absorb(OpenSignals(self._settings.costs, (s for s in late if s.input_seq + 1 >= first)))
        async with contextlib.aclosing(self._history(oldest)) as history:
            async for seq, data in history:
                batch = decoded(data)
                if batch is not None:
                    ended += behind.apply(seq, batch)
                if not behind:
                    break
        self._following.absorb(behind)
        if ended:
            await self._end(ended)

    async def _history(self, after: int) -> AsyncGenerator[tuple[int, bytes]]:
        """The shard's bar batches later than a sequence, up to the position."""
        if after < self._recent.since:
            async with contextlib.aclosing(self._stored(after, self._recent.since)) as stored:
                async for entry in stored:
                    yield entry
        for entry in self._recent.after(after):
            yield entry

    async def _stored(self, after: int, upto: int) -> AsyncGenerator[tuple[int, bytes]]:
        if upto <= after:
            return
        read = self._bus.read(INPUT, subjects.bars(self._shard), after=after, upto=upto)
        async for message in read:
            yield message.seq, message.data

    async def _end(self, outcomes: Sequence[Outcome]) -> None:
        """Make outcomes durable, then publish them."""
        with contextlib.ExitStack() as spans:
            stored = []
            for outcome in outcomes:
                span = spans.enter_context(
                    telemetry.span(
                        "close",
                        kind="producer",
                        parent=self._traces.pop(outcome.signal, None),
                        attributes={SIGNAL_ATTRIBUTE: outcome.signal, "heliograph.shard": self._shard},
                    )
                )
                span.keep()
                stored.append(record.stored_outcome(outcome, span.traceparent))
            rows = [outcome_row(self._lease, s) for s in stored]
            new = await self._writer.write(self._lease, rows)
            for outcome in outcomes:
                if outcome.signal in new:
                    metrics.OUTCOMES.labels(outcome.result).inc()
            await self._publish(stored)

    async def _publish_again(self, signals: Sequence[str]) -> set[str]:
        """Publish what may not have been of signals that were stored before; those that have ended."""
        if not signals:
            return set()
        stored = await record.outcomes_of(self._database, signals)
        await self._publish(stored)
        return {s.outcome.signal for s in stored}

    async def _publish(self, stored: Sequence[StoredOutcome]) -> None:
        if not stored:
            return
        await self._bus.publish([self._message(s) for s in stored])
        await record.finish(self._database, [s.outcome.signal for s in stored])

    def _message(self, stored: StoredOutcome) -> Message:
        return Message(
            subject=subjects.outcome(self._shard, stored.outcome.symbol),
            data=stored.payload,
            msg_id=stored.outcome.id,
            headers={"traceparent": stored.traceparent} if stored.traceparent else {},
        )

    def _span(self, spans: contextlib.ExitStack, name: str, delivery: Delivery, signal: str) -> None:
        spans.enter_context(
            telemetry.span(
                name,
                kind="consumer",
                parent=delivery.headers.get("traceparent"),
                attributes={SIGNAL_ATTRIBUTE: signal, "heliograph.shard": self._shard},
            )
        ).keep()


def decoded(data: bytes) -> BarBatch | None:
    """A stored batch; None where its delivery has gone to DEAD, since it is not one."""
    try:
        return _batches.decode(data)
    except msgspec.DecodeError:
        return None
