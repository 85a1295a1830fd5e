"""The Merkle root of each day: over all rows recorded on it (UTC), made once when it is over, and chained.

link = SHA-256(day LF leaves LF root, then the link of the day before), the day as YYYY-MM-DD; the leaves are
the digests of the ledger in the order of (record, shards, shard, number, place in the block).
"""

import asyncio
import hashlib
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from heliograph.common.clock import NANOSECONDS
from heliograph.tracker import merkle
from heliograph.tracker.checking import Finding
from heliograph.tracker.database import Database
from heliograph.tracker.ledger import DIGEST_BYTES

DAY = timedelta(days=1)
GRACE = timedelta(minutes=5)
"""After midnight a transaction of the day before may still be under way: longer than any may take."""


class DayRoot(msgspec.Struct, frozen=True, kw_only=True):
    """A day's root as it is stored."""

    day: date
    leaves: int
    root: bytes
    previous: bytes
    link: bytes


def day_link(day: date, leaves: int, root: bytes, previous: bytes) -> bytes:
    """The link that a day must have."""
    return hashlib.sha256(f"{day.isoformat()}\n{leaves}\n".encode() + root + previous).digest()


async def close(database: Database, now_ns: int) -> list[DayRoot]:
    """Make the roots of all days that are over at a time and have none yet, the earliest first.

    Raises:
        UnavailableError: Postgres is away.
    """
    ((first, newest),) = await database.fetch(
        """SELECT (SELECT min((created AT TIME ZONE 'UTC')::date) FROM ledger),
        (SELECT max(day) FROM day_roots)"""
    )
    if first is None:
        return []
    day: date = newest + DAY if newest else first
    over = (datetime.fromtimestamp(now_ns // NANOSECONDS, UTC) - GRACE).date()
    made = []
    while day < over:
        made.append(await _make(database, day))
        day += DAY
    return made


async def _make(database: Database, day: date) -> DayRoot:
    leaves, root = await _root(database, day)
    rows = await database.fetch("SELECT link FROM day_roots WHERE day = %s", (day - DAY,))
    previous = rows[0][0] if rows else b""
    link = day_link(day, leaves, root, previous)
    # Two replicas make the same row.
    await database.fetch(
        """INSERT INTO day_roots (day, leaves, root, previous, link) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (day) DO NOTHING""",
        (day, leaves, root, previous, link),
    )
    return DayRoot(day=day, leaves=leaves, root=root, previous=previous, link=link)


async def _root(database: Database, day: date) -> tuple[int, bytes]:
    """How many rows were recorded on a day, and the root over them."""
    start = datetime.combine(day, time(), UTC)
    blocks = await database.fetch(
        """SELECT digests FROM ledger WHERE created >= %s AND created < %s
        ORDER BY record, shards, shard, number""",
        (start, start + DAY),
    )
    leaves = [
        digests[at : at + DIGEST_BYTES]
        for (digests,) in blocks
        for at in range(0, len(digests), DIGEST_BYTES)
    ]
    return len(leaves), await asyncio.to_thread(merkle.root, leaves)


async def check(database: Database, after: date | None) -> tuple[date, list[Finding]] | None:
    """The first stored day after another (None: of all), and what is wrong with it; None where there is none.

    Raises:
        UnavailableError: Postgres is away.
    """
    rows = await database.fetch(
        "SELECT day, leaves, root, previous, link FROM day_roots WHERE day > %s ORDER BY day LIMIT 1",
        (after or date.min,),
    )
    if not rows:
        return None
    stored = DayRoot(**dict(zip(("day", "leaves", "root", "previous", "link"), rows[0], strict=True)))
    before = await database.fetch(
        "SELECT day, link FROM day_roots WHERE day < %s ORDER BY day DESC LIMIT 1", (stored.day,)
    )
    leaves, root = await _root(database, stored.day)
    return stored.day, list(_differences(stored, before, leaves, root))


def _differences(
    stored: DayRoot, before: list[tuple[date, bytes]], leaves: int, root: bytes
) -> list[Finding]:
    def finding(detail: str) -> Finding:
        return Finding(kind="unchained", record="day_roots", key=stored.day.isoformat(), detail=detail)

    found = []
    if stored.leaves != leaves:
        found.append(finding(f"leaves: {stored.leaves}, expected {leaves}"))
    if stored.root != root:
        found.append(finding(f"root: {stored.root.hex()!r}, expected {root.hex()!r}"))
    if stored.link != day_link(stored.day, stored.leaves, stored.root, stored.previous):
        found.append(finding("its link is not that of its content"))
    if before and before[0][0] != stored.day - DAY:
        found.append(finding(f"the day before it is {before[0][0]}, expected {stored.day - DAY}"))
    elif before and stored.previous != before[0][1]:
        found.append(finding(f"previous: {stored.previous.hex()!r}, expected {before[0][1].hex()!r}"))
    elif not before and stored.previous:
        found.append(finding("the day before it is missing"))
    return found
