"""One shard of one service under way: read in order, handle one batch at a time, acknowledge when durable."""

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import msgspec
import structlog

from heliograph.common import metrics, subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.errors import (
    FencedError,
    HeliographError,
    InvariantError,
    PoisonError,
    UnavailableError,
)
from heliograph.common.events import DeadLetter, encode
from heliograph.common.ids import derive_id
from heliograph.common.pace import Pace
from heliograph.common.positions import Positions
from heliograph.common.precedence import PATIENCE, Precedence
from heliograph.common.pull import ACK_WAIT_S, PullConsumer, Received
from heliograph.common.service import Delivery, Service, ShardProcessor, Source

TRIES = 5
"""Failures of the same message, alone in its batch, before it goes to DEAD."""
PAUSE_S = 0.1
PAUSE_MAX_S = 5.0
POLL_S = 1.0
SLOW_S = 1.0
"""The budget of a batch; those over it are counted and logged."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class DeadLetters:
    """The dead letters of a process, with the limit that stops it rather than drain a stream into DEAD."""

    def __init__(self, bus: Bus, service: str, limit: int) -> None:
        self._bus = bus
        self._service = service
        self._limit = limit
        self.count = 0

    async def bury(self, shard: int, stream: str, received: Received, reason: str) -> None:
        """Keep a message in DEAD with the reason; returns when it is stored.

        Raises:
            InvariantError: the limit is reached.
            UnavailableError: not stored.
        """
        if self.count >= self._limit:
            raise InvariantError(
                f"dead_letter_limit: {self._limit} messages given up, the last because {reason}"
            )
        letter = DeadLetter(
            id=derive_id("dead", self._service, stream, received.seq),
            ts=received.time_ns,
            service=self._service,
            reason=reason,
            subject=received.subject,
            payload=received.data,
            stream_seq=received.seq,
        )
        headers = {"traceparent": received.headers.get("traceparent", "")}
        await self._bus.publish(
            [
                Message(
                    subject=subjects.dead(self._service, shard),
                    data=encode(letter),
                    msg_id=letter.id,
                    headers=headers if headers["traceparent"] else {},
                )
            ]
        )
        self.count += 1
        metrics.DEAD_LETTERS.labels(self._service).inc()
        await log.aerror(
            "dead letter", shard=shard, subject=received.subject, seq=received.seq, reason=reason
        )


class ShardWorker:
    """Runs one shard until `stop`."""

    def __init__(
        self,
        bus: Bus,
        positions: Positions,
        service: Service,
        shard: int,
        dead: DeadLetters,
        batch: int,
        moved: Callable[[], None],
        precedence: Precedence,
        paces: Mapping[str, Pace],
    ) -> None:
        self.shard = shard
        self._bus = bus
        self._positions = positions
        self._service = service
        self._dead = dead
        self._batch = batch
        self._moved = moved
        self._precedence = precedence
        self._paces = paces
        self._wake = asyncio.Event()
        self._stopping = False
        self._reading: int | None = None
        self._failures = 0
        self._solo: dict[str, int] = {}
        self._blamed: dict[tuple[str, int], int] = {}
        self._decoders = {s.name: msgspec.json.Decoder(s.event) for s in service.sources}

    @property
    def reading(self) -> bool:
        """Whether its consumers are open on the connection that there is now."""
        return self._reading == self._bus.generation

    def stop(self) -> None:
        """Finish the batch in hand, close the processor, and end."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Handle the shard until `stop`; failures are tried again for ever, a lost shard ends it.

        Raises:
            InvariantError: something that must always hold does not: the process stops.
        """
        while not self._stopping:
            try:
                await self._session()
            except FencedError as error:
                await log.awarning("shard looked at again", shard=self.shard, error=str(error))
                await self._pause(error)
            except InvariantError:
                raise
            except UnavailableError as error:
                await log.awarning("store away", shard=self.shard, error=str(error))
                await self._pause(error)
            except Exception as error:
                await log.aexception("shard failed", shard=self.shard)
                await self._pause(error)

    async def _pause(self, error: Exception) -> None:
        metrics.HANDLE_FAILURES.labels(self._service.name, type(error).__name__).inc()
        self._failures += 1
        pause = min(PAUSE_MAX_S, PAUSE_S * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                while not self._stopping:
                    await self._wake.wait()
                    self._wake.clear()

    async def _session(self) -> None:
        """From opening the processor to its close or its failure."""
        consumers = {
            s.name: PullConsumer(
                self._bus,
                self._positions,
                s.stream,
                f"{self._service.name}-{self.shard}-{s.name}",
                s.subject.format(shard=self.shard),
                2 * self._batch,
                self._wake,
            )
            for s in self._service.sources
        }
        generation = self._bus.generation
        try:
            for consumer in consumers.values():
                await consumer.open()
            processor = self._service.processor(self.shard)
            await processor.open()
            self._reading = generation
            while not self._stopping:
                if self._bus.generation != generation:
                    raise UnavailableError(
                        "the connection was lost: starting again at the acknowledged position"
                    )
                self._moved()
                if not consumers:
                    await processor.handle("", [])
                    self._failures = 0
                elif not await self._step(processor, consumers):
                    await self._idle(consumers)
            async with asyncio.timeout(10):
                await processor.close()
        finally:
            self._reading = None
            for consumer in consumers.values():
                await consumer.close()

    async def _idle(self, consumers: dict[str, PullConsumer]) -> None:
        """Wait until a message comes or has rested, a second at most."""
        pause = min((self._due_in(s, consumers[s.name]) for s in self._service.sources), default=POLL_S)
        if pause == 0:
            return
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(pause, POLL_S)):
                await self._wake.wait()

    def _due_in(self, source: Source, consumer: PullConsumer) -> float:
        """Seconds until messages of a source should be handled."""
        if consumer.waiting and consumer.waiting[0].seq > self._upto(source):
            return POLL_S
        due = consumer.due_in(source.rest_s, self._batch)
        if due > 0 or not source.rest_s or self._precedence.free:
            return due
        self._precedence.hold(self._wake)
        return consumer.due_in(PATIENCE * source.rest_s, self._batch)

    def _upto(self, source: Source) -> float:
        """The sequence up to which messages of a source may be handled now."""
        return self._paces[source.after].upto(self.shard, self._wake) if source.after else math.inf

    async def _step(self, processor: ShardProcessor, consumers: dict[str, PullConsumer]) -> bool:
        """Handle one batch of the most urgent source that has one; whether there was any."""
        for source in self._service.sources:
            consumer = consumers[source.name]
            if broken := consumer.broken:
                raise UnavailableError(f"{consumer.durable}: {broken}: starting again")
            if self._due_in(source, consumer) == 0:
                with self._precedence.turn(rests=source.rest_s > 0):
                    limit = self._batch if not self._solo.get(source.name) else 1
                    messages = await consumer.take(limit, self._upto(source))
                    await self._handle(processor, source, consumer, messages)
                return True
        return False

    async def _handle(
        self, processor: ShardProcessor, source: Source, consumer: PullConsumer, messages: list[Received]
    ) -> None:
        batch = await self._decode(source, messages)
        started = time.perf_counter()
        if batch:
            with self._in_progress(consumer, messages[-1]):
                try:
                    await processor.handle(source.name, batch)
                except (UnavailableError, FencedError, InvariantError):
                    raise
                except Exception as error:
                    await self._blame(source, consumer, messages, error)
                    raise
        await consumer.ack(messages[-1])
        if source.announced:
            await self._bus.tell(subjects.handled(self._service.name, self.shard), messages[-1].seq)
        self._failures = 0
        self._solo[source.name] = max(0, self._solo.get(source.name, 0) - len(messages))
        seconds = time.perf_counter() - started
        metrics.HANDLE_SECONDS.labels(self._service.name, source.name).observe(seconds)
        if seconds > SLOW_S:
            metrics.SLOW_OPERATIONS.labels(self._service.name, source.name).inc()
            await log.awarning(
                "slow batch",
                service=self._service.name,
                shard=self.shard,
                source=source.name,
                seconds=round(seconds, 3),
                messages=len(messages),
            )
        metrics.MESSAGES_HANDLED.labels(self._service.name, source.name).inc(len(messages))

    async def _decode(self, source: Source, messages: list[Received]) -> list[Delivery]:
        decoder = self._decoders[source.name]
        batch: list[Delivery] = []
        for received in messages:
            try:
                event = decoder.decode(received.data)
            except msgspec.DecodeError as error:
                await self._dead.bury(self.shard, source.stream, received, f"{source.name}: {error}")
                continue
            batch.append(
                Delivery(
                    event=event,
                    subject=received.subject,
                    data=received.data,
                    seq=received.seq,
                    headers=received.headers,
                )
            )
        return batch

    async def _blame(
        self, source: Source, consumer: PullConsumer, messages: list[Received], error: Exception
    ) -> None:
        """Find the message that fails by handling one at a time; bury it when it has failed often enough."""
        if len(messages) > 1:
            self._solo[source.name] = max(self._solo.get(source.name, 0), len(messages))
            return
        key = (source.name, messages[0].seq)
        self._blamed[key] = self._blamed.get(key, 0) + 1
        if isinstance(error, PoisonError) or self._blamed[key] >= TRIES:
            del self._blamed[key]
            text = str(error) if isinstance(error, HeliographError) else repr(error)
            await self._dead.bury(self.shard, source.stream, messages[0], text)
            await consumer.ack(messages[0])

    @contextlib.contextmanager
    def _in_progress(self, consumer: PullConsumer, received: Received) -> Iterator[None]:
        """Keep telling the server that the batch is worked on, so that it does not deliver it again."""
        # A task of its own would cost more than most batches take.
        timer = Repeated(ACK_WAIT_S / 3, lambda: consumer.working(received))
        try:
            yield
        finally:
            timer.cancel()


class Repeated:
    """Calls something again and again until it is cancelled, first after one period (seconds)."""

    def __init__(self, period: float, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._period = period
        self._call = call
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(period, self._due)

    def _due(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._call())
        self._timer = loop.call_later(self._period, self._due)

    def cancel(self) -> None:
        """Call no more."""
        self._timer.cancel()
