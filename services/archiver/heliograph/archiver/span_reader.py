"""Reads the spans of all services and inserts them. One durable consumer is shared by all replicas."""

import asyncio
import contextlib
from typing import Any

import msgspec
import pyarrow as pa
import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import api

from heliograph.archiver.rows import SpanBatch, span_rows
from heliograph.archiver.schema import SPANS
from heliograph.archiver.writer import GroupCommit
from heliograph.common.bus import Bus
from heliograph.common.errors import HeliographError, PoisonError, UnavailableError

DURABLE = "archiver-spans"
FETCH = 128
"""Messages in hand at most; each holds up to 512 spans."""
FETCH_WAIT_S = 1.0
PAUSE_S = 0.5
PAUSE_MAX_S = 5.0
ACK_WAIT_S = 60

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class SpanReader:
    """Moves spans from SPAN into ClickHouse until cancelled.

    Attributes:
        problem: why it is not moving; empty when it is.
        refused: messages that were not spans; they are acknowledged, counted and logged.
    """

    def __init__(self, bus: Bus, writer: GroupCommit) -> None:
        self._bus = bus
        self._writer = writer
        self._decoder = msgspec.json.Decoder(SpanBatch)
        self.problem = ""
        self.refused = 0

    async def run(self) -> None:
        """Read for ever; whatever fails is tried again with what was not acknowledged."""
        failures = 0
        while True:
            try:
                async with contextlib.aclosing(_Subscription(self._bus)) as subscription:
                    await subscription.open()
                    while True:
                        await self._step(await subscription.fetch())
                        self.problem, failures = "", 0
            except (TimeoutError, NatsError, OSError, HeliographError) as error:
                failures += 1
                self.problem = f"spans: {error!r}"
                await log.awarning("spans not read", error=repr(error))
                await asyncio.sleep(min(PAUSE_MAX_S, PAUSE_S * failures))

    async def _step(self, messages: list[Msg]) -> None:
        tables: list[pa.Table] = []
        for message in messages:
            try:
                tables.append(span_rows(self._decoder.decode(message.data).spans))
            except (msgspec.DecodeError, PoisonError) as error:
                self.refused += 1
                await log.aerror("not a batch of spans", subject=message.subject, error=str(error))
        if tables:
            await self._writer.write(SPANS.name, pa.concat_tables(tables))
        for message in messages:
            await message.ack()


class _Subscription:
    """The pull subscription, closed whatever happens."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._generation = bus.generation
        self._pull: Any = None

    async def open(self) -> None:
        config = api.ConsumerConfig(ack_wait=ACK_WAIT_S, max_ack_pending=4 * FETCH)
        self._pull = await self._bus.js.pull_subscribe(
            "span.*", durable=DURABLE, stream="SPAN", config=config
        )

    async def fetch(self) -> list[Msg]:
        """What has come, at most `FETCH`; empty after a second without any."""
        if self._bus.generation != self._generation:
            raise UnavailableError("the connection was lost: subscribing again")
        try:
            return list(await self._pull.fetch(FETCH, timeout=FETCH_WAIT_S))
        except TimeoutError:
            return []

    async def aclose(self) -> None:
        if self._pull is not None:
            with contextlib.suppress(NatsError, OSError):
                await self._pull.unsubscribe()
