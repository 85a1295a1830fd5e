"""The monthly partitions of `signals`, made a month ahead of the rows."""

from collections.abc import Iterable
from datetime import UTC, datetime

from psycopg import sql

from heliograph.common.clock import NANOSECONDS
from heliograph.tracker.database import Connection

PARTITION_LOCK = 0x6865_6C69_6F02
DECEMBER = 12

Month = tuple[int, int]


def month_of(ts: int) -> Month:
    """The UTC year and month of a time in nanoseconds."""
    moment = datetime.fromtimestamp(ts // NANOSECONDS, UTC)
    return moment.year, moment.month


def following(month: Month) -> Month:
    """The month after."""
    year, number = month
    return (year + 1, 1) if number == DECEMBER else (year, number + 1)


def start_ns(month: Month) -> int:
    """The first nanosecond of a month."""
    return int(datetime(*month, 1, tzinfo=UTC).timestamp()) * NANOSECONDS


class Partitions:
    """The partitions that this process knows to exist."""

    def __init__(self) -> None:
        self._known: set[Month] = set()

    async def ensure(self, connection: Connection, times: Iterable[int]) -> None:
        """Make the months of these times and the one after each, where they are missing.

        In a transaction of its own, before the one that writes: no writer holds a lock while it waits here.
        """
        needed = {month_of(ts) for ts in times} - self._known
        if not needed:
            return
        for month in sorted(needed | set(map(following, needed))):
            await make(connection, month)
        # The month after is not marked as known, so that its first row makes the one after that.
        self._known |= needed


async def make(connection: Connection, month: Month) -> None:
    """Make and attach one month. Attaching does not block writers, as CREATE … PARTITION OF would."""
    name = sql.Identifier(f"signals_y{month[0]}m{month[1]:02}")
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (PARTITION_LOCK,))
        found = await connection.execute(
            sql.SQL("SELECT to_regclass({})").format(sql.Literal(name.as_string(connection)))
        )
        if await found.fetchone() != (None,):
            return
        await connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE signals INCLUDING DEFAULTS INCLUDING CONSTRAINTS)").format(name)
        )
        await connection.execute(
            sql.SQL("ALTER TABLE signals ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                name, sql.Literal(start_ns(month)), sql.Literal(start_ns(following(month)))
            )
        )
