"""Who is alive and who owns which shard: heartbeats and leases in NATS key-value buckets.

A member is gone when its heartbeat is older than the time to live, measured by the server's own times of
storage, so that no two clocks are compared. A lease is taken by compare-and-set: two views of the membership
never give two owners, and a dead member's lease is taken over only after its time.
"""

from typing import Any

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue

from heliograph.common.buckets import open_bucket
from heliograph.common.bus import Bus, Stored
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import UnavailableError

MEMBERS = "members"
LEASES = "leases"
DEAD_AFTER_S = 3600


class View(msgspec.Struct, frozen=True):
    """What a member sees: who lives, and each shard's holder with the lease's revision."""

    live: frozenset[str]
    leases: dict[int, tuple[str, int]]


class Membership:
    """One process's part in the membership of its service."""

    def __init__(self, bus: Bus, service: str, member: str, ttl_s: float) -> None:
        self._bus = bus
        self._service = service
        self._member = member
        self._ttl_ns = int(ttl_s * NANOSECONDS)
        self._members: KeyValue | None = None
        self._leases: KeyValue | None = None

    async def start(self) -> None:
        """Make or find the buckets.

        Raises:
            UnavailableError: the server does not answer.
        """
        try:
            self._members = await open_bucket(self._bus, MEMBERS, ttl_s=DEAD_AFTER_S)
            self._leases = await open_bucket(self._bus, LEASES)
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"membership: {error!r}") from error

    async def beat(self) -> View:
        """Say that this member lives, and see who else does.

        Raises:
            UnavailableError: the server does not answer.
        """
        if self._members is None or self._leases is None:
            await self.start()
        if self._members is None:
            raise UnavailableError("membership: no bucket")
        try:
            await self._members.put(f"{self._service}.{self._member}", b"")
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"membership: {error!r}") from error
        beats = await self._entries(MEMBERS)
        mine = beats.get(self._member)
        now = mine.time_ns if mine else max((b.time_ns for b in beats.values()), default=0)
        live = {m for m, beat in beats.items() if now - beat.time_ns <= self._ttl_ns} | {self._member}
        leases = await self._entries(LEASES)
        return View(frozenset(live), {int(s): (e.data.decode(), e.seq) for s, e in leases.items()})

    async def _entries(self, bucket: str) -> dict[str, Stored]:
        prefix = f"$KV.{bucket}.{self._service}."
        found = await self._bus.last_of_each(f"KV_{bucket}", prefix + "*")
        return {e.subject.removeprefix(prefix): e for e in found if "KV-Operation" not in e.headers}

    async def take(self, shard: int, view: View) -> bool:
        """Take the lease of a shard that nobody, or nobody alive, holds; whether it was had.

        Raises:
            UnavailableError: the server does not answer.
        """
        holder = view.leases.get(shard)
        if holder and holder[0] != self._member and holder[0] in view.live:
            return False
        bucket = self._lease_bucket()
        key, value = f"{self._service}.{shard}", self._member.encode()
        try:
            if holder:
                await bucket.update(key, value, last=holder[1])
            else:
                await bucket.create(key, value)
        except KeyWrongLastSequenceError:
            return False
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"lease of shard {shard}: {error!r}") from error
        return True

    async def release(self, shard: int) -> None:
        """Give a lease back, so that the next owner need not wait.

        Raises:
            UnavailableError: the server does not answer; the lease falls when this member is gone.
        """
        try:
            entry: Any = await self._lease_bucket().get(f"{self._service}.{shard}")
            if entry.value == self._member.encode():
                await self._lease_bucket().delete(f"{self._service}.{shard}", last=entry.revision)
        except (NotFoundError, KeyWrongLastSequenceError):
            return
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"lease of shard {shard}: {error!r}") from error

    async def leave(self) -> None:
        """Say good-bye.

        Raises:
            UnavailableError: the server does not answer; the others learn it by the time to live.
        """
        if self._members is None:
            return
        try:
            await self._members.delete(f"{self._service}.{self._member}")
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"membership: {error!r}") from error

    def _lease_bucket(self) -> KeyValue:
        if self._leases is None:
            raise UnavailableError("membership: no bucket")
        return self._leases
