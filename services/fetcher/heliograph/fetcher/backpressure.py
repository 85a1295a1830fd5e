"""Holds the replay back when a consumer of INPUT cannot follow, since the stream keeps only so many bytes."""

import re
from collections.abc import Collection

from heliograph.common.bus import Bus
from heliograph.common.clock import Clock

PERIOD_S = 1.0
"""Between two looks at the consumers, of all shards of a process together: each look costs the server."""
STREAM = "INPUT"
_OF_SHARD = re.compile(r"^[a-z_]+-(\d+)-[a-z_]+$")
"""Durable consumers are named after service, shard and source; any other name may read every shard."""


class Backpressure:
    """How many messages of each shard may still be published before the next look at the consumers.

    A service of `readers` that has no consumer of a shard yet is behind by all that was published there.
    """

    def __init__(self, bus: Bus, clock: Clock, readers: Collection[str] = ()) -> None:
        self._bus = bus
        self._clock = clock
        self._readers = readers
        self._looked: float | None = None
        self._behind: dict[str, int] = {}
        self._since: dict[int, int] = {}

    async def room(self, shard: int, limit: int, published: int) -> int:
        """Messages that may be published so that no consumer of the shard is more than `limit` behind.

        Args:
            shard: of the stream.
            limit: messages that may wait.
            published: messages of the shard so far.

        Raises:
            UnavailableError: the server does not say.
        """
        room = self._room(shard, limit, published)
        now = self._clock.monotonic()
        if self._looked is not None and (room > 0 or now - self._looked < PERIOD_S):
            return room
        self._looked = now
        before = dict(self._since)
        self._behind = await self._bus.lag(STREAM)
        self._since = {s: n - before.get(s, 0) for s, n in self._since.items()}
        return self._room(shard, limit, published)

    def _room(self, shard: int, limit: int, published: int) -> int:
        behind = worst(self._behind, shard) + self._since.get(shard, 0)
        if not all(reads(self._behind, reader, shard) for reader in self._readers):
            behind = max(behind, published)
        return max(0, limit - behind)

    def spend(self, shard: int, messages: int) -> None:
        """So many messages of a shard were published."""
        self._since[shard] = self._since.get(shard, 0) + messages


def worst(behind: dict[str, int], shard: int) -> int:
    """The lag of the slowest consumer that may read a shard, in messages."""
    return max(
        (lag for name, lag in behind.items() if (m := _OF_SHARD.match(name)) is None or int(m[1]) == shard),
        default=0,
    )


def reads(behind: dict[str, int], service: str, shard: int) -> bool:
    """Whether a service has a consumer of a shard."""
    return any(name.startswith(f"{service}-{shard}-") for name in behind)
