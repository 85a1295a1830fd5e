"""Refused changes of the record, taken from the sequences that survive their transactions into `refusals`.

See migration 0004 for how a refusal leaves its traces. A slot is taken again after 16 refusals: of more than
that between two looks the number is known, the details are not.
"""

from datetime import datetime

import msgspec

from heliograph.tracker.database import Database

SLOTS = 16
SHOWN_MOST = 200


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that was refused; everything but its ticket is None where it came too quickly after others.

    Attributes:
        ticket: its number.
        operation: UPDATE, DELETE or TRUNCATE.
        relation: the table, or the partition where the statement named that.
        role: who the session was opened as; `process` the server's process that served it.
    """

    ticket: int
    moment: datetime | None
    operation: str | None
    relation: str | None
    role: str | None
    process: int | None


async def collect(database: Database) -> list[Refusal]:
    """Make what was refused since the last time durable, and give it.

    Raises:
        UnavailableError: Postgres is away.
    """
    rows = await database.fetch(
        """WITH known AS (SELECT coalesce(max(ticket), 0) AS ticket FROM refusals),
        newest AS (SELECT coalesce(pg_sequence_last_value('refusal_tickets'), 0) AS ticket)
        INSERT INTO refusals (ticket, moment, operation, relation, role, process)
        SELECT ticket, moment, operation, relation, role, process FROM refusal_slots
        UNION ALL SELECT t, NULL, NULL, NULL, NULL, NULL
        FROM known, newest, generate_series(known.ticket + 1, newest.ticket - %s) AS t
        ON CONFLICT (ticket) DO NOTHING
        RETURNING ticket, moment, operation, relation, role, process""",
        (SLOTS,),
    )
    return sorted((_refusal(row) for row in rows), key=lambda refusal: refusal.ticket)


async def newest(database: Database, limit: int) -> tuple[int, list[Refusal]]:
    """How many refusals are recorded, and the newest of them.

    Raises:
        UnavailableError: Postgres is away.
    """
    ((total,),) = await database.fetch("SELECT count(*) FROM refusals")
    rows = await database.fetch(
        """SELECT ticket, moment, operation, relation, role, process
        FROM refusals ORDER BY ticket DESC LIMIT %s""",
        (limit,),
    )
    return total, [_refusal(row) for row in rows]


def _refusal(row: tuple[object, ...]) -> Refusal:
    names = ("ticket", "moment", "operation", "relation", "role", "process")
    return msgspec.convert(dict(zip(names, row, strict=True)), Refusal)
