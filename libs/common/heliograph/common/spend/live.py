"""How many replicas of a service live, by their heartbeats."""

import asyncio
from collections.abc import Awaitable, Callable

from heliograph.common.bus import Bus
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import UnavailableError
from heliograph.common.members import MEMBERS

WITHIN_S = 1.0
"""So long the count of the replicas may take; else it is not known."""


def counting(bus: Bus, service: str, ttl_s: float) -> Callable[[], Awaitable[int | None]]:
    """Counts the replicas of a service whenever it is asked."""

    async def live() -> int | None:
        try:
            async with asyncio.timeout(WITHIN_S):
                return await live_members(bus, service, ttl_s)
        except TimeoutError:
            return None

    return live


async def live_members(bus: Bus, service: str, ttl_s: float) -> int | None:
    """The members whose heartbeat is not older than the newest by their time to live; None if not known."""
    prefix = f"$KV.{MEMBERS}.{service}."
    try:
        found = await bus.last_of_each(f"KV_{MEMBERS}", prefix + "*")
    except UnavailableError:
        return None
    beats = [entry.time_ns for entry in found if "KV-Operation" not in entry.headers]
    return sum(max(beats) - beat <= ttl_s * NANOSECONDS for beat in beats) if beats else None
