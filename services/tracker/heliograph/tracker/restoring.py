"""Events of the archive back into the record, where it has lost them; what is there stays as it is."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import structlog
from psycopg import sql

from heliograph.common.answering import answering
from heliograph.common.bus import Bus
from heliograph.common.errors import FencedError, InputError, PoisonError, UnavailableError
from heliograph.common.events import Event, Outcome, Reason, Signal, encode
from heliograph.common.service import Delivery
from heliograph.common.shards import shard_of
from heliograph.tracker import leases, record
from heliograph.tracker.checking import EVENTS
from heliograph.tracker.database import Database
from heliograph.tracker.leases import Lease
from heliograph.tracker.queries import GROUP
from heliograph.tracker.rows import RESTORED, TABLES, Row, outcome_row, reason_row, signal_row
from heliograph.tracker.writer import Writer

MOST = 1000
TRIES = 10
"""The owner of a shard may take it back before its rows are written."""
DIFFERENT_MOST = 20
"""Rows named that are otherwise in the record than in the archive; their number is always told."""
ORDER: Final = ("outcomes", "reasons", "signals")
"""Signals come last: one whose outcome is there already is not taken for open."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class RestoreQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Events as they once came; those of one signal may come apart."""

    signals: Annotated[list[Signal], msgspec.Meta(max_length=MOST)] = []
    reasons: Annotated[list[Reason], msgspec.Meta(max_length=MOST)] = []
    outcomes: Annotated[list[Outcome], msgspec.Meta(max_length=MOST)] = []


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What became of them: new rows, rows that were there, and how many of these say something else."""

    new: int
    there: int
    differing: int
    different: list[str]


class Restoring:
    """Answers `query.tracker.restore`.

    The rows go in under a new epoch of their shard, so that nobody else writes its ledger meanwhile. Its
    owner is refused once, looks at the shard again, and follows what has come back without an outcome.
    """

    def __init__(self, database: Database, writer: Writer, *, shards: int, member: str) -> None:
        self._database = database
        self._writer = writer
        self._shards = shards
        self._member = member

    async def register(self, bus: Bus) -> None:
        """Answer on the bus, one replica a request."""
        await bus.respond("query.tracker.restore", answering(RestoreQuery, self.restore), queue=GROUP)

    async def restore(self, query: RestoreQuery) -> Restored:
        """Record those of the events that are missing, sealed as every row is; a second time changes nothing.

        Raises:
            InputError: an event can never be recorded; it is named.
            UnavailableError: Postgres is away, or the shard's owner is quicker each time: ask again.
        """
        given = {name: _by_key(name, getattr(query, name)) for name in ORDER}
        new = there = 0
        different: list[str] = []
        for name in ORDER:
            stored = await self._stored(name, list(given[name]))
            there += len(stored)
            different += [
                f"{name}/{key}" for key, event in stored.items() if not _same(event, given[name][key])
            ]
            missing = [event for key, event in given[name].items() if key not in stored]
            new += await self._write(name, missing)
        ended = await record.outcomes_of(self._database, list(given["signals"] | given["outcomes"]))
        await record.finish(self._database, [each.outcome.signal for each in ended])
        if new:
            await log.ainfo("restored into the record", new=new, there=there)
        return Restored(
            new=new, there=there, differing=len(different), different=sorted(different)[:DIFFERENT_MOST]
        )

    async def _stored(self, name: str, keys: Sequence[str]) -> dict[str, Event]:
        table = TABLES[name]
        rows = await self._database.fetch(
            sql.SQL("SELECT {key}, payload FROM {view} WHERE {key} = ANY(%s)").format(
                key=sql.Identifier(table.key), view=sql.Identifier(table.view)
            ),
            (list(keys),),
        )
        return {key: msgspec.json.decode(payload, type=EVENTS[name]) for key, payload in rows}

    async def _write(self, name: str, events: Sequence[Event]) -> int:
        shards: dict[int, list[Any]] = defaultdict(list)
        for event in events:
            shards[shard_of(event.symbol, self._shards)].append(event)  # type: ignore[attr-defined]
        return sum([await self._write_shard(name, shard, own) for shard, own in sorted(shards.items())])

    async def _write_shard(self, name: str, shard: int, events: Sequence[Event]) -> int:
        for _ in range(TRIES):
            lease = await leases.take(self._database, self._shards, shard, self._member)
            try:
                return len(await self._writer.write(lease, [_row(name, lease, event) for event in events]))
            except FencedError:
                continue
            except PoisonError as error:
                raise InputError(f"restore: {error}") from error
        raise UnavailableError(f"restore: shard {shard} was taken back {TRIES} times: ask again")


def _by_key(name: str, events: Sequence[Event]) -> dict[str, Event]:
    return {getattr(event, TABLES[name].key): event for event in events}


def _same(stored: Event, given: Event) -> bool:
    """Whether they say the same: the archive writes the time of receipt also where it is the event's own."""
    return _plain(stored) == _plain(given)


def _plain(event: Event) -> Event:
    return msgspec.structs.replace(event, received=0) if event.received == event.ts else event


def _row(name: str, lease: Lease, event: Event) -> Row:
    if isinstance(event, Outcome):
        return outcome_row(lease, record.stored_outcome(event, ""))
    delivery = Delivery(event=event, subject="", data=encode(event), seq=RESTORED, headers={})
    return signal_row(lease, delivery) if name == "signals" else reason_row(lease, delivery)
