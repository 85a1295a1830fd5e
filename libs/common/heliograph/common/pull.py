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
from nats.aio.msg import Msg
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
PIN_LOST = "423"


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message as delivered.

    Attributes:
        seq: its sequence in the stream (read from the reply subject: see ADR-15).
        at: when it came, on the event loop's clock, seconds.
    """

    message: Msg
    seq: int
    at: float


@dataclass
class PinnedConsumerConfig(api.ConsumerConfig):
    """The consumer configuration of nats-py with the fields of priority groups (ADR-42)."""

    priority_groups: list[str] | None = None
    priority_policy: str | None = None
    priority_timeout: int | None = None


class PullConsumer:
    """The messages of one durable consumer, a bounded number of them in memory."""

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
        self._outstanding = 0
        self._pin = ""
        self._next_seq = 1
        self._broken = ""
        self._heard = 0.0

    @property
    def broken(self) -> str:
        """Why order can no longer be vouched for, so that only `rewind` helps; empty while all is well."""
        if self._broken or self._outstanding == 0:
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
        self.waiting.clear()
        self._outstanding, self._pin, self._next_seq, self._broken = 0, "", 1, ""
        try:
            unpin = f"$JS.API.CONSUMER.UNPIN.{self.stream}.{self.durable}"
            await self._bus.client.request(unpin, json.dumps({"group": GROUP}).encode(), 5)
            await self._bus.js.reset_consumer(self.stream, self.durable, timeout=5)
            self._subscription = await self._bus.client.subscribe(
                self._bus.client.new_inbox(), cb=self._receive, pending_msgs_limit=8 * self._window
            )
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

    async def take(self, limit: int) -> list[Received]:
        """What has come, oldest first, at most `limit`; empty when nothing has."""
        batch = [self.waiting.popleft() for _ in range(min(limit, len(self.waiting)))]
        if batch:
            await self._pull()
        return batch

    async def ack(self, received: Received) -> None:
        """Acknowledge a message and all before it. Should the server not hear of it, they come again.

        Raises:
            UnavailableError: the connection is closed.
        """
        try:
            await received.message.ack()
        except (NatsError, OSError) as error:
            raise UnavailableError(f"ack on {self.durable}: {error!r}") from error
        self._positions.note(self.durable, Position(received.seq, self._stream_created))

    async def working(self, received: Received) -> None:
        """Tell the server that a message is still being worked on."""
        with contextlib.suppress(NatsError, OSError):
            await received.message.in_progress()

    async def close(self) -> None:
        """Stop receiving; what was not acknowledged comes to the next owner."""
        await self._unsubscribe()
        self.waiting.clear()

    async def _unsubscribe(self) -> None:
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            with contextlib.suppress(NatsError, OSError):
                await subscription.unsubscribe()

    async def _pull(self) -> None:
        room = self._window - len(self.waiting) - self._outstanding
        if self._subscription is None or room < self._window // 2:
            return
        request: dict[str, Any] = {
            "batch": room,
            "expires": int(PULL_EXPIRES_S * NANOSECONDS),
            "idle_heartbeat": int(HEARTBEAT_S * NANOSECONDS),
            "group": GROUP,
        }
        if self._pin:
            request["id"] = self._pin
        self._outstanding += room
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self.durable}"
        try:
            await self._bus.client.publish(
                subject, json.dumps(request).encode(), reply=self._subscription.subject
            )
        except (NatsError, OSError) as error:
            raise UnavailableError(f"consumer {self.durable}: {error!r}") from error

    async def _receive(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        headers = message.headers or {}
        status = headers.get("Status")
        if status is None:
            self._accept(message, headers.get("Nats-Pin-Id", ""))
        elif status != "100":
            self._outstanding = max(
                0, self._outstanding - int(headers.get("Nats-Pending-Messages", self._outstanding))
            )
            if status == PIN_LOST:
                self._pin, self._outstanding = "", 0
            if self._outstanding == 0:
                with contextlib.suppress(UnavailableError):
                    await self._pull()

    def _accept(self, message: Msg, pin: str) -> None:
        self._pin = pin or self._pin
        self._outstanding = max(0, self._outstanding - 1)
        *_, stream_seq, consumer_seq, _, _ = message.reply.split(".")
        found = int(consumer_seq)
        if found != self._next_seq:
            self._broken = f"delivery {found} came, expected {self._next_seq}"
        else:
            self._next_seq += 1
            self.waiting.append(Received(message, int(stream_seq), self._heard))
        self._wake.set()
