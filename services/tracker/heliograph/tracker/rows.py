"""Events as rows of the record. The payload keeps the JSON as it came, so that it is given back exactly."""

from typing import Any, NamedTuple, get_type_hints

import msgspec

from heliograph.common.errors import PoisonError
from heliograph.common.events import Event, Outcome, Reason, Signal, signal_sha256
from heliograph.common.service import Delivery
from heliograph.tracker.leases import Lease
from heliograph.tracker.record import StoredOutcome

MAX_TS = (1 << 63) - 1
VOTES = "votes"
RESTORED = 0
"""The place in the stream of what was brought back from the archive, which does not know it."""


class Row(NamedTuple):
    """One row to write: its table, the value of the table's key column, and the values of all columns."""

    table: str
    key: str
    values: tuple[Any, ...]
    ts: int


class Table(NamedTuple):
    """A table of the record: the columns taken from the event, and those that the tracker adds.

    `key` tells its rows apart; `place` is the stream's sequence that they are in order of, shard by shard.
    """

    name: str
    key: str
    place: str
    conflict: tuple[str, ...]
    fields: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def view(self) -> str:
        """What holds all of its rows, the archived ones included."""
        return "every_signal" if self.name == "signals" else self.name

    @property
    def types(self) -> tuple[str, ...]:
        """The types of those columns in the database."""
        return tuple(_type(self.name, name) for name in self.columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are written, in the order of a row's values."""
        return self.fields + self.added


INTEGERS = frozenset({"v", "bars", "shards", "shard"})
"""The columns of whole numbers that are four bytes wide."""
ADDED = {"stream_seq": int, "shards": int, "shard": int}
SQL_TYPES: dict[object, str] = {int: "int8", float: "float8", bool: "bool"}


def _type(table: str, column: str) -> str:
    if column == VOTES:
        return "jsonb"
    if column == "sources":
        return "text[]"
    if column in INTEGERS:
        return "int4"
    return SQL_TYPES.get(EVENT_TYPES[table].get(column) or ADDED.get(column), "text")


def _fields(kind: type[Event]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(kind))


TABLES = {
    table.name: table
    for table in (
        Table(
            "signals",
            "id",
            "stream_seq",
            ("id", "ts"),
            _fields(Signal),
            ("shards", "shard", "stream_seq", "traceparent", "payload"),
        ),
        Table(
            "reasons",
            "signal",
            "stream_seq",
            ("signal",),
            _fields(Reason),
            ("shards", "shard", "stream_seq", "traceparent", "payload"),
        ),
        Table(
            "outcomes",
            "signal",
            "input_seq",
            ("signal",),
            _fields(Outcome),
            ("shards", "shard", "traceparent", "payload"),
        ),
    )
}


EVENT_TYPES: dict[str, dict[str, object]] = {
    "signals": get_type_hints(Signal),
    "reasons": get_type_hints(Reason),
    "outcomes": get_type_hints(Outcome),
}


def signal_row(lease: Lease, delivery: Delivery) -> Row:
    """The row of a signal.

    Raises:
        PoisonError: its time is not one that a partition can be made for, or its `sha256` is not its own.
    """
    signal: Signal = delivery.event
    expected = signal_sha256(signal)
    if signal.sha256 != expected:
        raise PoisonError(f"sha256: {signal.sha256!r} of signal {signal.id}, expected {expected!r}")
    if not 0 <= signal.ts <= MAX_TS:
        raise PoisonError(f"ts: {signal.ts} of signal {signal.id}, expected nanoseconds from 0 to {MAX_TS}")
    return _delivered("signals", signal.id, lease, delivery)


def reason_row(lease: Lease, delivery: Delivery) -> Row:
    """The row of a reason."""
    return _delivered("reasons", delivery.event.signal, lease, delivery)


def outcome_row(lease: Lease, stored: StoredOutcome) -> Row:
    """The row of an outcome."""
    outcome = stored.outcome
    added = (lease.shards, lease.shard, stored.traceparent, stored.payload.decode())
    return Row("outcomes", outcome.signal, _values("outcomes", outcome) + added, outcome.ts)


def _delivered(table: str, key: str, lease: Lease, delivery: Delivery) -> Row:
    event: Event = delivery.event
    added = (
        lease.shards,
        lease.shard,
        delivery.seq,
        delivery.headers.get("traceparent", ""),
        _text(delivery),
    )
    return Row(table, key, _values(table, event) + added, event.ts)


def _text(delivery: Delivery) -> str:
    try:
        return delivery.data.decode()
    except UnicodeDecodeError as error:
        raise PoisonError(f"payload: {error}, expected UTF-8") from None


def _values(table: str, event: Event) -> tuple[Any, ...]:
    return tuple(_value(name, getattr(event, name)) for name in TABLES[table].fields)


def _value(name: str, value: object) -> object:
    """A field's value as its column takes it: votes go into one JSON column, also where there are none."""
    return msgspec.json.encode(value).decode() if name == VOTES else value
