"""One shard: the engine's state, brought up to date, fed, published and kept."""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from heliograph.common import metrics, subjects, telemetry
from heliograph.common.bus import ATOMIC_LIMIT, Bus, Message
from heliograph.common.checkpoint import Checkpoints
from heliograph.common.clock import Clock
from heliograph.common.errors import FencedError, InputError, InvariantError, PoisonError
from heliograph.common.events import (
    BarBatch,
    Enrich,
    Signal,
    Tick,
    VoteBatch,
    encode,
    signal_sha256,
)
from heliograph.common.service import Delivery
from heliograph.consensus.calibration import Calibrator
from heliograph.consensus.engine import Engine
from heliograph.consensus.engine.layout import COUNTS
from heliograph.consensus.engine.snapshot import OtherVersionError
from heliograph.consensus.settings import ConsensusSettings

INPUT = "INPUT"
REST_S = 0.2
"""A shard rests when it has handled nothing for so long."""
PATIENCE = 3
"""Times the interval of checkpoints after which a shard that never rests is interrupted."""
TAKEN, MADE, *GATES = COUNTS

_input: msgspec.json.Decoder[BarBatch | VoteBatch | Tick] = msgspec.json.Decoder(BarBatch | VoteBatch | Tick)
_signal = msgspec.json.Decoder(Signal)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class ConsensusProcessor:
    """Turns the bars of one shard into its signals.

    Signals are appended under a guard, so that of two members that take a shard for theirs only one writes.
    After a failure the batches not acknowledged come again: the engine makes their signals again, and those
    up to the last one that the stream holds are not published a second time.
    """

    def __init__(
        self,
        shard: int,
        bus: Bus,
        clock: Clock,
        settings: ConsensusSettings,
        checkpoints: Checkpoints,
        calibrator: Calibrator | None = None,
    ) -> None:
        self.shard = shard
        self.engine: Engine = settings.engine()
        self._bus = bus
        self._clock = clock
        self._settings = settings
        self._checkpoints = checkpoints
        self._calibrator = calibrator or Calibrator()
        self._guard = subjects.signal(shard)
        self._last: Signal | None = None
        self._last_seq = 0
        self._told: dict[str, int] = {}
        self._votes = (0, 0)
        self._unsaved = 0
        self._settled = False
        self._saving = asyncio.Lock()
        self._joined = False
        self._dealt_with = 0
        """INPUT sequence up to which nothing is missing when the first batch comes."""
        self._saved_at = self._handled_at = clock.monotonic()

    async def open(self) -> None:
        """Load the checkpoint and take the acknowledged batches after it, whose signals are published."""
        found = await self._checkpoints.load(self.shard)
        if found is not None:
            seq, data = found
            try:
                self.engine.restore(data)
            except OtherVersionError as error:
                await self._begin_anew(error)
            else:
                if self.engine.seq != seq:
                    raise InvariantError(
                        f"checkpoint of shard {self.shard}: of {self.engine.seq}, kept as {seq}"
                    )
        last = await self._bus.last("SIGNAL", self._guard)
        if last is not None:
            self._last = _signal.decode(last.data)
            self._last_seq = last.seq
        floor = await self._bus.ack_floor(INPUT, f"consensus-{self.shard}-bars")
        async for stored in self._bus.read(
            INPUT, subjects.inputs(self.shard), after=self.engine.seq, upto=floor
        ):
            self._take_again(stored.data, stored.seq)
        if self._last is not None:
            self.engine.head = self._last.sha256
        self._told, self._votes = self.engine.counts, self.engine.votes
        self._settled = True
        self._dealt_with = floor
        await log.ainfo(
            "shard opened",
            shard=self.shard,
            checkpoint=found[0] if found else 0,
            position=self.engine.seq,
            acknowledged=floor,
        )

    async def _begin_anew(self, error: OtherVersionError) -> None:
        """Take the whole of INPUT again, where it still holds all of it: the state comes out the same.

        Raises:
            InvariantError: INPUT has dropped its beginning.
        """
        first = await self._bus.first_seq(INPUT)
        if first > 1:
            raise InvariantError(
                f"checkpoint of shard {self.shard}: {error}; INPUT begins at {first}, so the state cannot be "
                "made again: go on with the version that wrote it, or remove the checkpoint to start with "
                "what INPUT holds"
            ) from error
        await log.awarning("checkpoint of another version: taking INPUT again", shard=self.shard)

    def _take_again(self, data: bytes, seq: int) -> None:
        """Take a batch that was acknowledged: one that cannot be taken is in DEAD."""
        try:
            self._apply(_input.decode(data), seq)
        except (msgspec.DecodeError, InputError):
            return
        self._unsaved += 1

    def _apply(self, event: BarBatch | VoteBatch | Tick, seq: int) -> list[Signal]:
        """What comes of an input.

        Raises:
            InputError: it is impossible.
        """
        if isinstance(event, BarBatch):
            return self.engine.apply(event, seq)
        if isinstance(event, Tick):
            return self.engine.apply_tick(event, seq)
        self.engine.apply_votes(event, seq)
        return []

    async def handle(self, source: str, batch: list[Delivery]) -> None:  # noqa: ARG002 - there is one source
        """Take bars, votes and ticks; returns when the signals and requests of them are in their streams.

        Raises:
            PoisonError: a batch has an impossible interval or symbol, or votes of an unknown source.
            FencedError: another member has written signals of this shard, or acknowledged some of its input.
            UnavailableError: the signals are not known to be stored.
        """
        if not self._joined:
            await self._check_whole([delivery.seq for delivery in batch])
            self._joined = True
        self._settled = False
        messages: list[Message] = []
        requests: list[Enrich] = []
        for delivery in batch:
            if delivery.seq <= self.engine.seq:
                continue
            started = self._clock.now_ns()
            head = self.engine.head
            try:
                signals = self._apply(delivery.event, delivery.seq)
            except InputError as error:
                raise PoisonError(str(error)) from error
            self._unsaved += 1
            self.engine.head = head
            requests += self.engine.requests
            chosen = self._sealed(self._unpublished(signals))
            messages += self._messages(chosen, delivery, started)
        for start in range(0, len(messages), ATOMIC_LIMIT):
            chunk = messages[start : start + ATOMIC_LIMIT]
            self._last_seq = await self._bus.append(
                chunk, last_seq=self._last_seq, guard=self._guard, whole=False
            )
        if requests:
            await self._ask(requests)
        self._tell()
        self._settled = True
        self._handled_at = self._clock.monotonic()

    async def _check_whole(self, delivered: Sequence[int]) -> None:
        """Refuse to go on behind input that another member has taken since the shard was opened.

        A reader that was given nothing yet cannot tell by the count of deliveries: it begins anew with each
        member that opens the shard, and the server may serve the one that has waited longest.

        Raises:
            FencedError: the engine is behind.
        """
        if not delivered:
            return
        after = max(self.engine.seq, self._dealt_with)
        stored = self._bus.read(INPUT, subjects.inputs(self.shard), after=after, upto=delivered[-1])
        here = set(delivered)
        async for message in stored:
            if message.seq not in here and _readable(message.data):
                raise FencedError(
                    f"shard {self.shard}: another member acknowledged input {message.seq}, held up to {after}"
                )

    async def _ask(self, requests: Sequence[Enrich]) -> None:
        """Publish requests; one that is made again has the id that it had, and is stored once."""
        subject = subjects.request(self.shard)
        await self._bus.publish([Message(subject=subject, data=encode(r), msg_id=r.id) for r in requests])
        for request in requests:
            metrics.REQUESTS.labels(str(request.tier)).inc()

    def _unpublished(self, signals: Sequence[Signal]) -> Sequence[Signal]:
        """Those of one input's signals that come after the last one in the stream at the shard's opening."""
        last = self._last
        if not signals or last is None or signals[0].input_seq > last.input_seq:
            return signals
        if signals[0].input_seq < last.input_seq:
            return []
        return signals[[signal.id for signal in signals].index(last.id) + 1 :]

    def _sealed(self, signals: Sequence[Signal]) -> list[Signal]:
        """The signals as they are published: calibrated, and chained to what was published before.

        What is published once stays: a batch that comes again is chained to the signals in the stream,
        whatever calibration they have.
        """
        sealed = []
        for made in signals:
            signal = self._calibrator.calibrated(made)
            metrics.CALIBRATED.labels("no" if signal is made else "yes").inc()
            sealed.append(chained(signal, self.engine.head))
            self.engine.head = sealed[-1].sha256
        return sealed

    def _messages(self, signals: Sequence[Signal], delivery: Delivery, started: int) -> list[Message]:
        """The signals of one batch, each with the context of the span that tells of its decision."""
        messages = []
        for signal in signals:
            attributes = {
                "heliograph.signal": signal.id,
                "heliograph.symbol": signal.symbol,
                "heliograph.shard": self.shard,
                "messaging.batch.message_count": len(getattr(delivery.event, "symbols", ())),
            }
            with telemetry.span(
                "decide",
                kind="consumer",
                parent=delivery.headers.get("traceparent"),
                attributes=attributes,
                start_ns=started,
            ) as span:
                span.keep()
                messages.append(
                    Message(
                        subject=subjects.signal(self.shard, signal.symbol),
                        data=encode(signal),
                        msg_id=signal.id,
                        headers={"traceparent": span.traceparent},
                    )
                )
            metrics.SIGNALS.labels(signal.action).inc()
        return messages

    def _tell(self) -> None:
        """Bring the metrics up to date."""
        counts = self.engine.counts
        metrics.BARS_EVALUATED.inc(counts[TAKEN] - self._told[TAKEN])
        for reason in GATES:
            if counts[reason] != self._told[reason]:
                metrics.GATED.labels(reason).inc(counts[reason] - self._told[reason])
        self._told = counts
        votes = self.engine.votes
        for taken, now, before in zip(("yes", "no"), votes, self._votes, strict=True):
            metrics.VOTES.labels(taken).inc(now - before)
        self._votes = votes

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        if not self._unsaved or not self._settled:
            return False
        now = self._clock.monotonic()
        waited = max(
            self._unsaved / self._settings.checkpoint_batches,
            (now - self._saved_at) / self._settings.checkpoint_s,
        )
        return waited >= (1 if now - self._handled_at >= REST_S else PATIENCE)

    async def save(self) -> None:
        """Keep a checkpoint of the batches handled; none while the signals of one are not yet in the stream.

        Raises:
            UnavailableError: it is not stored.
        """
        async with self._saving:
            if not self._unsaved or not self._settled:
                return
            seq, unsaved = self.engine.seq, self._unsaved
            data = self.engine.snapshot()
            self._saved_at = self._clock.monotonic()
            await self._checkpoints.save(self.shard, seq, data)
            self._unsaved -= unsaved

    async def close(self) -> None:
        """Keep a last checkpoint for the next owner."""
        await self.save()


def _readable(data: bytes) -> bool:
    """Whether it is an input; what is none has gone to DEAD."""
    try:
        _input.decode(data)
    except msgspec.DecodeError:
        return False
    return True


def chained(signal: Signal, previous: str) -> Signal:
    """A signal with its hash, as the next after the one with the hash `previous`."""
    return msgspec.structs.replace(signal, sha256=signal_sha256(signal), prev_sha256=previous)
