"""Monthly partitions of `signals`, made a month ahead of the rows; old ones leave for `signals_archived`."""

from collections.abc import Iterable
from datetime import UTC, datetime

from heliograph.common.clock import NANOSECONDS
from heliograph.tracker.database import Connection
from heliograph.tracker.rows import MAX_TS

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


def preceding(month: Month) -> Month:
    """The month before."""
    year, number = month
    return (year - 1, DECEMBER) if number == 1 else (year, number - 1)


def name_of(month: Month) -> str:
    """The name of a month's partition."""
    return f"signals_y{month[0]:04}m{month[1]:02}"


def start_ns(month: Month) -> int:
    """The first nanosecond of a month, or the last one that there is."""
    return min(int(datetime(*month, 1, tzinfo=UTC).timestamp()) * NANOSECONDS, MAX_TS)


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
    """Make and attach one month, where it is missing. Attaching does not block writers."""
    await connection.execute(
        "SELECT make_signals_partition(%s, %s, %s)",
        (name_of(month), start_ns(month), start_ns(following(month))),
    )


async def archive(connection: Connection, keep: int, now_ns: int) -> list[str]:
    """Move months out of the working table but for the newest `keep` up to now; the names of those moved.

    A month with a signal that is not finished stays. What was moved is still read, through `every_signal`.

    Raises:
        psycopg.errors.LockNotAvailable: a long reader is in the way: try again later.
    """
    first = month_of(now_ns)
    for _ in range(keep - 1):
        first = preceding(first)
    rows = await connection.execute(
        """SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'signals'::regclass AND c.relname < %s ORDER BY 1""",
        (name_of(first),),
    )
    moved = []
    for (name,) in await rows.fetchall():
        month = int(name[9:13]), int(name[14:16])
        bounds = start_ns(month), start_ns(following(month))
        for step in (1, 2):
            found = await connection.execute(
                "SELECT archive_signals_partition(%s, %s, %s, %s)", (name, *bounds, step)
            )
            if await found.fetchone() != (True,):
                break
        else:
            moved.append(name)
    return moved
