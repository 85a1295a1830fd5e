"""The library's client with a short way in for what comes by the thousand.

The library gives each subscription a queue and a task, and each message an object of its own: a message
passes three turns of the event loop before its reader sees it. A subscription that is made here gets its
messages as they are read from the socket.
"""

from collections.abc import Callable

from nats.aio import client as library
from nats.aio.subscription import Subscription

READ_SIZE = 1 << 20
"""Bytes read at once: the library's 32 KiB stop the socket and start it again for larger messages."""
VERSION = "NATS/1.0"

library.DEFAULT_BUFFER_SIZE = READ_SIZE

Taker = Callable[[str, str, bytes, dict[str, str]], None]
"""Takes subject, reply subject, payload and headers of a message; neither waits nor raises."""


class WireClient(library.Client):
    """A client some of whose subscriptions have a taker."""

    def __init__(self) -> None:
        super().__init__()
        self._takers: dict[int, Taker] = {}

    async def hand(self, subject: str, taker: Taker) -> Subscription:
        """Subscribe, and hand each message to the taker; the caller publishes to the subject afterwards."""
        subscription = await self.subscribe(subject)
        self._takers[subscription._id] = taker  # noqa: SLF001 - the library has no other name for it
        return subscription

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._takers.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        taker = self._takers.get(sid)
        if taker is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        taker(subject.decode(), reply.decode(), data, headers_of(headers) if headers else {})


def headers_of(raw: bytes) -> dict[str, str]:
    """The headers of a message (ADR-4); the server's own status as `Status` and `Description`."""
    first, *lines = raw.decode(errors="replace").split("\r\n")
    found = {}
    if status := first.removeprefix(VERSION).strip():
        found["Status"], _, description = status.partition(" ")
        if description:
            found["Description"] = description
    for line in lines:
        key, colon, value = line.partition(":")
        if colon:
            found[key] = value.strip()
    return found
