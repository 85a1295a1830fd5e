"""From events to the rows of the tables: the one mapping, for ClickHouse and for Parquet alike."""

from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from heliograph.archiver.bar_columns import PRICES, BarColumns, columns
from heliograph.archiver.schema import BARS, OUTCOMES, REASONS, SIGNALS, SPANS, VOTES, Table
from heliograph.common.errors import InvariantError, PoisonError
from heliograph.common.events import BarBatch, Event, Outcome, Reason, Signal, VoteBatch

SIGNAL_ATTRIBUTE = "heliograph.signal"
RECORD: dict[str, Any] = {
    SIGNALS.name: list[Signal],
    REASONS.name: list[Reason],
    OUTCOMES.name: list[Outcome],
}
"""The tables of which a row is a whole event, which the record keeps, too."""
BY_SOURCE: dict[str, Table] = {table.name: table for table in (BARS, SIGNALS, REASONS, OUTCOMES, VOTES)}


class Link(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Another span that a span came of."""

    trace_id: str
    span_id: str


class SpanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A finished span as it travels on SPAN (times in UTC nanoseconds)."""

    trace_id: str
    span_id: str
    name: str
    service: str
    start_ns: int
    end_ns: int
    parent_id: str = ""
    kind: str = "internal"
    status: str = "unset"
    attributes: dict[str, Any] = {}
    links: list[Link] = []


class SpanBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One message of SPAN."""

    spans: list[SpanRecord]


def _received(event: Event) -> int:
    return event.received or event.ts


def _votes(event: Any) -> Any:
    return msgspec.to_builtins(event.votes)


def _attributes(span: SpanRecord) -> str:
    return msgspec.json.encode(span.attributes, order="sorted").decode()


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "received": _received,
    "votes": _votes,
    "start": attrgetter("start_ns"),
    "end": attrgetter("end_ns"),
    "attributes": _attributes,
    "links": lambda span: msgspec.to_builtins(span.links),
}
_COLUMNS: dict[str, dict[str, str]] = {
    BARS.name: {"symbol": "symbols", **{name: name for name in PRICES}},
    VOTES.name: {"symbol": "symbols", **{name: name for name in ("direction", "confidence", "observed")}},
}
"""Of the sources whose events are batches: which columns are lists, and what the batch calls them."""
_SPAN_SPECIAL = {**_SPECIAL, "signal": lambda span: str(span.attributes.get(SIGNAL_ATTRIBUTE, ""))}


def event_rows(source: str, events: Sequence[Any]) -> pa.Table:
    """The rows of a source's events, in their order; a batch of bars or votes gives one row a symbol.

    Args:
        source: `bars`, `votes`, `signals`, `reasons` or `outcomes`.
        events: of that source's type; bars as `BarColumns` or as `BarBatch`.

    Returns:
        A table with exactly the columns of `BY_SOURCE[source]`.

    Raises:
        PoisonError: a value does not fit its column; the message names the column.
    """
    if events and isinstance(events[0], BarColumns):
        return _bar_rows(events)
    if source in _COLUMNS:
        return _by_column(BY_SOURCE[source], events, _COLUMNS[source])
    return _by_field(BY_SOURCE[source], events, _SPECIAL)


def span_rows(spans: Sequence[SpanRecord]) -> pa.Table:
    """The rows of spans.

    Raises:
        PoisonError: a value does not fit its column; the message names the column.
    """
    return _by_field(SPANS, spans, _SPAN_SPECIAL)


def row_events(table: str, rows: pa.Table) -> list[Event]:
    """The events of rows, as they came: `event_rows` the other way round, for the tables of `RECORD`.

    Raises:
        InvariantError: a row is no such event.
    """
    plain = [
        rows[field.name].cast(pa.int64()) if pa.types.is_timestamp(field.type) else rows[field.name]
        for field in rows.schema
    ]
    try:
        events = msgspec.convert(
            pa.Table.from_arrays(plain, rows.schema.names).to_pylist(), type=RECORD[table]
        )
    except msgspec.ValidationError as error:
        raise InvariantError(f"{table}: {error}") from error
    return [msgspec.structs.replace(e, received=0) if e.received == e.ts else e for e in events]


def _by_field(table: Table, records: Sequence[Any], special: dict[str, Callable[[Any], Any]]) -> pa.Table:
    arrays = []
    for field in table.columns:
        value = special.get(field.name) or attrgetter(field.name)
        arrays.append(_array(table, field, [value(record) for record in records]))
    return pa.Table.from_arrays(arrays, schema=table.columns)


def _by_column(
    table: Table, batches: Sequence[BarBatch] | Sequence[VoteBatch], lists: dict[str, str]
) -> pa.Table:
    """The rows of columnar batches, some of whose columns are lists of one value a row."""
    counts = [len(batch.symbols) for batch in batches]
    of_batch = np.repeat(np.arange(len(batches)), np.array(counts, np.int64))
    arrays = []
    for field in table.columns:
        if field.name == "split":
            arrays.append(_array(table, field, _splits(batches)))
        elif field.name in lists:
            parts = map(attrgetter(lists[field.name]), batches)
            arrays.append(_array(table, field, list(chain.from_iterable(parts))))
        else:
            arrays.append(_shared(table, field, batches, of_batch))
    return pa.Table.from_arrays(arrays, schema=table.columns)


def _bar_rows(batches: Sequence[BarColumns]) -> pa.Table:
    """The rows of columnar batches of bars whose lists are still JSON."""
    found, counts = columns(batches)
    of_batch = np.repeat(np.arange(len(batches)), counts)
    arrays = []
    for field in BARS.columns:
        if field.name in found:
            arrays.append(found[field.name])
        else:
            arrays.append(_shared(BARS, field, batches, of_batch))
    return pa.Table.from_arrays(arrays, schema=BARS.columns)


def _shared(
    table: Table, field: pa.Field, batches: Sequence[Any], of_batch: npt.NDArray[np.int64]
) -> pa.Array:
    """A column of which each batch has one value that all of its rows share."""
    value = _SPECIAL.get(field.name) or attrgetter(field.name)
    return _array(table, field, [value(batch) for batch in batches]).take(pa.array(of_batch))


def _splits(batches: Sequence[Any]) -> list[float]:
    """The split of each bar; hardly any batch has one."""
    ratios: list[float] = []
    for batch in batches:
        if batch.splits:
            ratios += [batch.splits.get(symbol, 1.0) for symbol in batch.symbols]
        else:
            ratios += [1.0] * len(batch.symbols)
    return ratios


def _array(table: Table, field: pa.Field, values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise PoisonError(f"{table.name}.{field.name}: {error}, expected values of {field.type}") from error
