"""Reading the record: what a shard has to go on with."""

from collections.abc import Iterable, Sequence

import msgspec

from heliograph.common.events import Outcome, Signal, encode
from heliograph.tracker.database import Database

_signals = msgspec.json.Decoder(Signal)
_outcomes = msgspec.json.Decoder(Outcome)


class OpenSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A stored signal that has no outcome, and the trace that it came with."""

    signal: Signal
    traceparent: str


class StoredOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A stored outcome with the trace that its event carries."""

    outcome: Outcome
    payload: bytes
    traceparent: str


def stored_outcome(outcome: Outcome, traceparent: str) -> StoredOutcome:
    """An outcome about to be stored."""
    return StoredOutcome(outcome=outcome, payload=encode(outcome), traceparent=traceparent)


def _stored(payload: str, traceparent: str) -> StoredOutcome:
    return StoredOutcome(outcome=_outcomes.decode(payload), payload=payload.encode(), traceparent=traceparent)


async def unfinished(
    database: Database, shards: int, shard: int
) -> tuple[list[OpenSignal], list[StoredOutcome]]:
    """The shard's signals without an outcome, and the outcomes that may not have been published.

    Raises:
        UnavailableError: Postgres is away.
    """
    rows = await database.fetch(
        """SELECT s.payload, s.traceparent, o.payload, o.traceparent
        FROM unfinished u JOIN signals s ON s.id = u.signal AND s.ts = u.ts
        LEFT JOIN outcomes o ON o.signal = u.signal
        WHERE u.shards = %s AND u.shard = %s ORDER BY s.stream_seq""",
        (shards, shard),
    )
    opened = [
        OpenSignal(signal=_signals.decode(payload), traceparent=traceparent)
        for payload, traceparent, ended, _ in rows
        if ended is None
    ]
    return opened, [_stored(payload, traceparent) for *_, payload, traceparent in rows if payload is not None]


async def outcomes_of(database: Database, signals: Sequence[str]) -> list[StoredOutcome]:
    """The outcomes of those of the signals that have one.

    Raises:
        UnavailableError: Postgres is away.
    """
    rows = await database.fetch(
        "SELECT payload, traceparent FROM outcomes WHERE signal = ANY(%s) ORDER BY ts, signal",
        (list(signals),),
    )
    return [_stored(*row) for row in rows]


async def finish(database: Database, signals: Iterable[str]) -> None:
    """Nothing is left to do for these signals: each outcome is stored and its event published.

    Not flushed to disk: if it is lost, their events are published once more, which changes nothing.

    Raises:
        UnavailableError: Postgres is away.
    """
    async with database.connection() as connection, connection.pipeline(), connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit TO off")
        await connection.execute("DELETE FROM unfinished WHERE signal = ANY(%s)", (list(signals),))
