"""What a service is to the platform: the shape that `shell.run` gives a process to."""

from types import UnionType
from typing import Any, Protocol

import msgspec

from heliograph.common.bus import Bus
from heliograph.common.clock import Clock
from heliograph.common.config import Settings
from heliograph.common.events import Event


class Delivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message of a shard, decoded.

    Attributes:
        event: the decoded event, of the source's type.
        seq: its sequence in the stream.
        headers: NATS headers; `traceparent` among them where the producer was traced.
    """

    event: Any
    subject: str
    data: bytes
    seq: int
    headers: dict[str, str]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that a service reads shard by shard.

    Attributes:
        name: what `handle` is told, e.g. `bars`.
        stream: the stream's name.
        subject: its filter, with `{shard}` in it, e.g. `input.bars.{shard}`.
        event: the type, or the union of types, that its messages must decode to.
        rest_s: how long a message waits for others to come, unless a whole batch has: what comes of the same
            bars elsewhere, and is more urgent, goes first.
        announced: whether it is told after each batch how far the service has come.
        after: the service whose announcements its messages do not overtake (`pace`); none if empty.
    """

    name: str
    stream: str
    subject: str
    event: type[Event] | UnionType
    rest_s: float = 0.0
    announced: bool = False
    after: str = ""


class ShardProcessor(Protocol):
    """What a service does with one shard. Calls never overlap; an object lives from `open` to `close`.

    A processor that fails in `open` or `handle` is thrown away without `close`; a new one is opened after a
    pause and gets every message again that was not acknowledged: start-up and recovery are one path.
    """

    async def open(self) -> None:
        """Load the shard's state: whatever was made durable before."""
        ...

    async def handle(self, source: str, batch: list[Delivery]) -> None:
        """Handle messages of one source in order; return only when every result is durable.

        Raises:
            UnavailableError: a store is away: the same messages come again, for ever.
            PoisonError: a message can never be handled: it is found by handling one by one, and goes to DEAD.
            FencedError: another member has taken the shard.
        """
        ...

    async def close(self) -> None:
        """Hand the shard over: make everything durable, within a few seconds."""
        ...


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the platform hands to a service at its start."""

    name: str
    member: str
    settings: Settings
    bus: Bus
    clock: Clock


class Service(Protocol):
    """One of the services. `shell.run` makes it, starts it, gives it shards, and stops it."""

    name: str
    """As in subjects and consumers, e.g. `tracker`."""
    sources: tuple[Source, ...]
    """What it reads by shard, the most urgent first. Without any, `handle("", [])` is called again and again:
    one step of work each, at most about a second long."""
    sharded: bool
    """Whether it takes part in the sharing of shards."""

    async def start(self, context: Context) -> None:
        """Open the stores, register requests. Waits for stores that are not yet there."""
        ...

    def processor(self, shard: int) -> ShardProcessor:
        """A new processor for a shard that this member has just taken."""
        ...

    async def problems(self) -> dict[str, str]:
        """Why it is not ready: store → what is wrong; empty when it is."""
        ...

    async def status(self) -> dict[str, Any]:
        """Figures for `heliograph status`, as JSON values."""
        ...

    async def stop(self) -> None:
        """Close the stores; called after every shard was closed."""
        ...
