"""Who may write for a shard: the member that took its newest epoch."""

import asyncio
from collections.abc import Iterable

import msgspec

from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import FencedError
from heliograph.tracker.database import Connection, Database

LOST = "HG001"
"""What the server says of a lease that is not the newest (migration 0009)."""
LOOK_EVERY_S = 1.0
"""Less than a silent member's time to live, so that nobody can have taken its shards meanwhile; a process
that was stopped for longer looks again."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to write for one shard of `shards`, until somebody takes a newer epoch."""

    shards: int
    shard: int
    epoch: int


async def take(database: Database, shards: int, shard: int, member: str) -> Lease:
    """A new epoch for the shard. Waits for a write under the old one; any later such write is refused.

    Raises:
        UnavailableError: Postgres is away.
    """
    ((epoch,),) = await database.fetch(
        """INSERT INTO shard_leases (shards, shard, epoch, member) VALUES (%s, %s, 1, %s)
        ON CONFLICT (shards, shard) DO UPDATE
        SET epoch = shard_leases.epoch + 1, member = excluded.member, taken = now() RETURNING epoch""",
        (shards, shard, member),
    )
    return Lease(shards=shards, shard=shard, epoch=epoch)


class Newest:
    """The newest epochs, looked up at most once a second for all shards of a process together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._epochs: dict[tuple[int, int], int] = {}
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    async def check(self, lease: Lease) -> None:
        """Nothing, when nobody had taken a newer epoch a second ago.

        Raises:
            FencedError: another member has taken the shard.
            UnavailableError: Postgres is away.
        """
        async with self._looking:
            if SYSTEM_CLOCK.monotonic() - self._looked_at > LOOK_EVERY_S:
                rows = await self._database.fetch("SELECT shards, shard, epoch FROM shard_leases")
                self._epochs = {(shards, shard): epoch for shards, shard, epoch in rows}
                self._looked_at = SYSTEM_CLOCK.monotonic()
        if self._epochs.get((lease.shards, lease.shard), 0) > lease.epoch:
            raise fenced(lease)


async def hold(connection: Connection, leases: Iterable[Lease]) -> None:
    """Have the server refuse the transaction unless the leases are the newest, and keep them so to its end.

    Raises:
        psycopg.DatabaseError: one is not, with the `sqlstate` LOST; in a pipeline, once that is read.
    """
    shards, shard, epochs = columns(leases)
    await connection.execute(
        "SELECT hold_leases(%s::int[], %s::int[], %s::bigint[])", (shards, shard, epochs)
    )


async def newest(connection: Connection, leases: Iterable[Lease]) -> set[Lease]:
    """Those of the leases that are the newest now."""
    wanted = set(leases)
    shards, shard, _ = columns(wanted)
    cursor = await connection.execute(
        """SELECT l.shards, l.shard, l.epoch FROM shard_leases l
        JOIN unnest(%s::int[], %s::int[]) AS w (shards, shard)
        ON l.shards = w.shards AND l.shard = w.shard""",
        (shards, shard),
    )
    found = await cursor.fetchall()
    return wanted & {Lease(shards=s, shard=n, epoch=e) for s, n, e in found}


def columns(leases: Iterable[Lease]) -> tuple[list[int], list[int], list[int]]:
    """Leases as columns: `shards`, `shard`, `epoch`."""
    listed = list(leases)
    return [at.shards for at in listed], [at.shard for at in listed], [at.epoch for at in listed]


def fenced(lease: Lease) -> FencedError:
    """The error of a writer that has lost its shard."""
    return FencedError(f"shard {lease.shard}: epoch {lease.epoch} is no longer the newest")
