"""A durable pull consumer of one shard, read in order by one client at a time.

The server's `pinned_client` priority group lets only one client receive; nats-py has no support for it, so
the pull requests are made here. Delivery is in order by construction: whatever breaks it (a lost connection,
a new pin, a gap in the consumer's sequence) ends in `rewind`, which resets the consumer to its acknowledged
position. The server holds that position in memory; `positions` says where it begins after a restart.
"""

import asyncio
import contextlib
import json
import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from heliograph.common.bus import Bus
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import UnavailableError
from heliograph.common.positions import Position, Positions

GROUP = "owner"
ACK_WAIT_S = 60.0
PIN_TTL_S = 60.0
"""How long the server keeps the pin of a silent client; a new owner does not wait but takes the pin."""
PULL_EXPIRES_S = 30.0
HEARTBEAT_S = 5.0
SILENCE_S = 2.5 * HEARTBEAT_S
IN_PROGRESS = b"+WPI"
HEARTBEAT = "100"
PIN_LOST = "423"
PULL_BYTES = 1_500_000
"""Bytes that one pull may bring. Two are under way at most: a client that is busy for a while must not have
more waiting for it than the server holds for one connection (`max_pending`), or it loses the connection."""
TOO_LARGE = "MaxBytes"
"""In the server's description of why it has ended a pull."""
ENVELOPE = 64 * 1024
"""Bytes of a message's subject and headers at most, beyond its payload."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message as delivered.

    Attributes:
        reply: the subject of its acknowledgement.
        seq: its sequence in the stream (read from the reply subject: see ADR-15).
        time_ns: when it was stored, UTC nanoseconds (from there too).
        at: when it came, on the event loop's clock, seconds.
    """

    subject: str
    data: bytes
    headers: dict[str, str]
    reply: str
    seq: int
    time_ns: int
    at: float


@dataclass
class PinnedConsumerConfig(api.ConsumerConfig):
    """The consumer configuration of nats-py with the fields of priority groups (ADR-42)."""

    priority_groups: list[str] | None = None
    priority_policy: str | None = None
    priority_timeout: int | None = None


class Pull(msgspec.Struct):
    """A request for messages that is under way, the oldest being answered first.

    Attributes:
        left: how many it may still bring.
        asked: how many it was for.
    """

    left: int
    asked: int


class PullConsumer:
    """The messages of one durable consumer, a bounded number and a bounded size of them in memory.

    At most `window` messages wait or are asked for, and the bytes of two pulls.
    """

    def __init__(
        self,
        bus: Bus,
        positions: Positions,
        stream: str,
        durable: str,
        subject: str,
        window: int,
        wake: asyncio.Event,
    ) -> None:
        self.stream = stream
        self.durable = durable
        self.waiting: deque[Received] = deque()
        self._bus = bus
        self._positions = positions
        self._stream_created = ""
        self._subject = subject
        self._window = window
        self._wake = wake
        self._subscription: Subscription | None = None
        self._asking: asyncio.Task[None] | None = None
        self._pulls: deque[Pull] = deque()
        self._waiting_bytes = 0
        self._large = False
        """Whether the next message is larger than a pull may bring."""
        self._pin = ""
        self._next_seq = 1
        self._broken = ""
        self._heard = 0.0

    @property
    def broken(self) -> str:
        """Why order can no longer be vouched for, so that only `rewind` helps; empty while all is well."""
        if self._broken or not self._pulls:
            return self._broken
        silence = asyncio.get_running_loop().time() - self._heard
        return f"nothing heard for {silence:.1f} s" if silence > SILENCE_S else ""

    async def open(self) -> None:
        """Make the consumer where it does not exist, and begin at its acknowledged position.

        Raises:
            UnavailableError: the server does not answer.
        """
        try:
            stream = await self._bus.js.stream_info(self.stream)
            self._stream_created = str(stream.created)
            await self._make()
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"consumer {self.durable}: {error!r}") from error
        await self.rewind()

    async def _make(self) -> None:
        """Make the consumer where it does not exist, after the position that was kept for it."""
        try:
            await self._bus.js.consumer_info(self.stream, self.durable)
        except NotFoundError:
            kept = await self._positions.load(self.durable, self._stream_created)
            await self._bus.js.add_consumer(self.stream, self._config(kept))

    def _config(self, after: int) -> PinnedConsumerConfig:
        """The consumer that begins with the message after a sequence."""
        return PinnedConsumerConfig(
            durable_name=self.durable,
            ack_policy=api.AckPolicy.ALL,
            ack_wait=ACK_WAIT_S,
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            filter_subject=self._subject,
            max_ack_pending=4 * self._window,
            mem_storage=True,
            priority_groups=[GROUP],
            priority_policy="pinned_client",
            priority_timeout=int(PIN_TTL_S * NANOSECONDS),
        )

    async def rewind(self) -> None:
        """Take the pin and start again after the last acknowledged message.

        Raises:
            UnavailableError: the server does not answer.
        """
        await self._unsubscribe()
        self._forget()
        self._pin, self._next_seq, self._broken = "", 1, ""
        try:
            unpin = f"$JS.API.CONSUMER.UNPIN.{self.stream}.{self.durable}"
            await self._bus.client.request(unpin, json.dumps({"group": GROUP}).encode(), 5)
            await self._bus.js.reset_consumer(self.stream, self.durable, timeout=5)
            self._subscription = await self._bus.client.hand(self._bus.client.new_inbox(), self._receive)
            self._heard = asyncio.get_running_loop().time()
            await self._pull()
        except (TimeoutError, NatsError, OSError, APIError) as error:
            raise UnavailableError(f"consumer {self.durable}: {error!r}") from error

    def due_in(self, rest_s: float, enough: int) -> float:
        """Seconds until the oldest message has rested or `enough` wait; infinite when none does."""
        if not self.waiting:
            return math.inf
        if len(self.waiting) >= enough:
            return 0.0
        return max(0.0, self.waiting[0].at + rest_s - asyncio.get_running_loop().time())

    async def take(self, limit: int, upto: float = math.inf) -> list[Received]:
        """What has come up to a sequence, oldest first, at most `limit`; empty when nothing has."""
        batch: list[Received] = []
        while self.waiting and len(batch) < limit and self.waiting[0].seq <= upto:
            batch.append(self.waiting.popleft())
        if batch:
            self._waiting_bytes -= sum(len(received.data) for received in batch)
            await self._pull()
        return batch

    async def ack(self, received: Received) -> None:
        """Acknowledge a message and all before it. Should the server not hear of it, they come again.

        Raises:
            UnavailableError: the connection is closed.
        """
        try:
            await self._bus.client.publish(received.reply)
        except (NatsError, OSError) as error:
            raise UnavailableError(f"ack on {self.durable}: {error!r}") from error
        self._positions.note(self.durable, Position(received.seq, self._stream_created))

    async def working(self, received: Received) -> None:
        """Tell the server that a message is still being worked on."""
        with contextlib.suppress(NatsError, OSError):
            await self._bus.client.publish(received.reply, IN_PROGRESS)

    async def close(self) -> None:
        """Stop receiving; what was not acknowledged comes to the next owner."""
        await self._unsubscribe()
        self._forget()

    def _forget(self) -> None:
        """Let go what waits and what was asked for."""
        self.waiting.clear()
        self._pulls.clear()
        self._waiting_bytes = 0

    async def _unsubscribe(self) -> None:
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            with contextlib.suppress(NatsError, OSError):
                await subscription.unsubscribe()

    async def _pull(self) -> None:
        """Ask for more where there is room for half of the window and for the bytes of a pull."""
        room = self._window - len(self.waiting) - sum(pull.left for pull in self._pulls)
        size = self._waiting_bytes + len(self._pulls) * PULL_BYTES
        if self._subscription is None or room < self._window // 2 or size > PULL_BYTES:
            return
        request: dict[str, Any] = {
            "batch": 1 if self._large else room,
            "max_bytes": self._bus.client.max_payload + ENVELOPE if self._large else PULL_BYTES,
            "expires": int(PULL_EXPIRES_S * NANOSECONDS),
            "idle_heartbeat": int(HEARTBEAT_S * NANOSECONDS),
            "group": GROUP,
        }
        if self._pin:
            request["id"] = self._pin
        self._pulls.append(Pull(request["batch"], request["batch"]))
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self.durable}"
        try:
            await self._bus.client.publish(
                subject, json.dumps(request).encode(), reply=self._subscription.subject
            )
        except (NatsError, OSError) as error:
            raise UnavailableError(f"consumer {self.durable}: {error!r}") from error

    def _receive(self, subject: str, reply: str, data: bytes, headers: dict[str, str]) -> None:
        self._heard = asyncio.get_running_loop().time()
        status = headers.get("Status")
        if status is None:
            self._accept(subject, reply, data, headers)
        elif status != HEARTBEAT:
            self._ended(status, headers.get("Description", ""))
            self._asking = asyncio.create_task(self._ask_again())

    async def _ask_again(self) -> None:
        with contextlib.suppress(UnavailableError):
            await self._pull()

    def _ended(self, status: str, description: str) -> None:
        """A pull has ended, or the pin has become another's."""
        if status == PIN_LOST:
            self._pin = ""
            self._pulls.clear()
        elif self._pulls:
            ended = self._pulls.popleft()
            self._large = ended.left == ended.asked and TOO_LARGE in description

    def _accept(self, subject: str, reply: str, data: bytes, headers: dict[str, str]) -> None:
        self._pin = headers.get("Nats-Pin-Id", self._pin)
        self._large = False
        if self._pulls:
            self._pulls[0].left -= 1
            if self._pulls[0].left == 0:
                self._pulls.popleft()
        *_, stream_seq, consumer_seq, time_ns, _ = reply.split(".")
        if int(consumer_seq) != self._next_seq:
            self._broken = f"delivery {consumer_seq} came, expected {self._next_seq}"
            self._wake.set()
            return
        self._next_seq += 1
        self.waiting.append(
            Received(subject, data, headers, reply, int(stream_seq), int(time_ns), self._heard)
        )
        self._waiting_bytes += len(data)
        self._wake.set()
