"""How far another service has come, so that one does not overtake it while it is at work.

A service that announces says after each batch, on a core subject, up to which sequence of its stream it has
handled a shard. Whoever comes before it would do its work twice: bars that the tracker takes before consensus
has published their signals must be looked up again for each of these signals.
"""

import asyncio
import math
from typing import NamedTuple

from nats.aio.msg import Msg

from heliograph.common import subjects
from heliograph.common.bus import Bus

PATIENCE_S = 2.0
"""A service that has said nothing for so long is idle or away: nobody waits for it."""


class Said(NamedTuple):
    """An announcement: the sequence, and when it came, on the event loop's clock, seconds."""

    seq: int
    at: float


class Pace:
    """The announcements of one service."""

    def __init__(self, bus: Bus, service: str) -> None:
        self._bus = bus
        self._service = service
        self._said: dict[int, Said] = {}
        self._wakes: dict[int, asyncio.Event] = {}

    async def listen(self) -> None:
        """Hear it from now on, also after a lost connection."""
        await self._bus.client.subscribe(subjects.handled(self._service, "*"), cb=self._hear)

    def upto(self, shard: int, wake: asyncio.Event) -> float:
        """The sequence that a reader of the shard should not pass now; infinite when nobody is ahead at work.

        Args:
            shard: the shard.
            wake: set when that changes, unless it is by silence.
        """
        self._wakes[shard] = wake
        said = self._said.get(shard)
        if said is None or asyncio.get_running_loop().time() - said.at > PATIENCE_S:
            return math.inf
        return said.seq

    async def _hear(self, message: Msg) -> None:
        shard = int(message.subject.rpartition(".")[2])
        seq = int(message.data)
        before = self._said.get(shard)
        # One that takes its shard again from an earlier position has published those signals long ago.
        self._said[shard] = Said(max(seq, before.seq if before else 0), asyncio.get_running_loop().time())
        if wake := self._wakes.get(shard):
            wake.set()
