"""Events become rows: every field, no other, and a bad value is named."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.archiver.rows import SpanBatch, SpanRecord, event_rows, row_events, span_rows
from heliograph.archiver.schema import BARS, EVENT_TABLES, OUTCOMES, REASONS, SIGNALS, SPANS, VOTES, Table
from heliograph.common.errors import PoisonError
from heliograph.common.events import BarBatch, Event, Outcome, Reason, Signal, Vote, VoteBatch, encode

from .conftest import Events

MOST = (1 << 63) - 1
times = st.integers(-MOST, MOST)
prices = st.floats(min_value=1e-9, max_value=1e12)


@pytest.mark.parametrize(
    ("table", "event", "elsewhere"),
    [
        # A batch of bars is no fact of its own: its symbols are rows, its id and version are the transport's.
        (BARS, BarBatch, {"symbols": "symbol", "splits": "split", "id": None, "cause": None, "v": None}),
        (VOTES, VoteBatch, {"symbols": "symbol"}),
        (SIGNALS, Signal, {}),
        (REASONS, Reason, {}),
        (OUTCOMES, Outcome, {}),
    ],
)
def test_every_field_of_an_event_has_its_column(
    table: Table, event: type[Event], elsewhere: dict[str, str | None]
) -> None:
    fields = {elsewhere.get(f.name, f.name) for f in msgspec.structs.fields(event)} - {None}
    assert fields == set(table.columns.names)


@pytest.mark.parametrize("table", EVENT_TABLES)
def test_the_key_and_the_time_are_columns(table: Table) -> None:
    assert {*table.key, table.time} <= set(table.columns.names)


def test_a_signal_is_one_row_with_its_votes(events: Any) -> None:
    signal = events.signal(received=events.start + 5)
    [row] = event_rows("signals", [signal]).to_pylist()
    assert row["votes"][1] == {
        "source": "technical",
        "direction": -1,
        "confidence": 0.25,
        "weight": 0.4,
        "age_ns": 7,
    }
    assert row["received"].value == events.start + 5
    assert row["expires"].value == signal.expires
    assert {k: row[k] for k in ("id", "entry", "sha256")} == {
        "id": signal.id,
        "entry": 100.0,
        "sha256": signal.sha256,
    }


def test_received_is_the_event_time_where_it_is_the_same(events: Any) -> None:
    [row] = event_rows("reasons", [events.reason()]).to_pylist()
    assert row["received"] == row["ts"]


@given(
    st.lists(
        st.builds(
            lambda ts, received, bars: BarBatch(
                id="0" * 16,
                ts=ts,
                received=received,
                interval="1m",
                source="test",
                symbols=[f"S{i}" for i in range(len(bars))],
                open=[b[0] for b in bars],
                high=[b[1] for b in bars],
                low=[b[2] for b in bars],
                close=[b[3] for b in bars],
                volume=[b[4] for b in bars],
            ),
            times,
            times,
            st.lists(st.tuples(prices, prices, prices, prices, prices), max_size=5),
        ),
        max_size=4,
    )
)
def test_bar_batches_become_rows_in_their_order(batches: list[BarBatch]) -> None:
    travelled = [msgspec.json.decode(encode(b), type=BarBatch) for b in batches]
    rows = event_rows("bars", travelled)
    assert rows.schema.equals(BARS.columns)
    expected = [
        (s, b.ts, *prices, b.received or b.ts)
        for b in batches
        for s, *prices in zip(b.symbols, b.open, b.high, b.low, b.close, b.volume, strict=True)
    ]
    names = ("open", "high", "low", "close", "volume")
    found = zip(
        rows["symbol"].to_pylist(),
        rows["ts"].cast("int64").to_pylist(),
        *(rows[n].to_pylist() for n in names),
        rows["received"].cast("int64").to_pylist(),
        strict=True,
    )
    assert list(found) == expected


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"ts": 1 << 63}, "signals.ts"),
        ({"input_seq": -1}, "signals.input_seq"),
        ({"v": 1 << 16}, "signals.v"),
    ],
)
def test_a_value_that_fits_no_column_is_poison_and_named(
    events: Any, changes: dict[str, Any], column: str
) -> None:
    with pytest.raises(PoisonError, match=column):
        event_rows("signals", [events.signal(), events.signal(**changes)])


def test_a_span_becomes_a_row_that_its_signal_finds(events: Any) -> None:
    body = msgspec.json.encode({"spans": [events.span(1, attributes={"heliograph.signal": "ab", "n": 1})]})
    rows = span_rows(msgspec.json.decode(body, type=SpanBatch).spans)
    assert rows.schema.equals(SPANS.columns)
    [row] = rows.to_pylist()
    assert (row["signal"], row["attributes"]) == ("ab", '{"heliograph.signal":"ab","n":1}')


def test_a_span_out_of_the_range_of_time_is_poison() -> None:
    span = SpanRecord(trace_id="a", span_id="b", name="n", service="s", start_ns=1 << 63, end_ns=0)
    with pytest.raises(PoisonError, match=r"spans\.start"):
        span_rows([span])


def test_votes_become_a_row_a_symbol(events: Any) -> None:
    rows = event_rows("votes", [events.votes(0), events.votes(1, symbols=["X"], direction=[-1])]).to_pylist()
    assert [(row["symbol"], row["direction"], row["source"]) for row in rows] == [
        ("AAPL", 1, "news"),
        ("BRK.B", -1, "news"),
        ("X", -1, "news"),
    ]
    assert len({row["id"] for row in rows}) == 2


def test_a_split_stands_beside_its_bar(events: Any) -> None:
    batches = [events.bars(0), events.bars(1, splits={"BRK.B": 50.0})]
    assert event_rows("bars", batches)["split"].to_pylist() == [1.0, 1.0, 1.0, 50.0]


@given(
    st.integers(0, 1 << 62),
    st.integers(0, 1 << 62),
    st.lists(st.tuples(st.integers(-1, 1), prices, prices), max_size=4),
    prices,
    st.text(),
)
def test_rows_of_the_record_give_their_events_back_as_they_came(
    ts: int, received: int, votes: list[tuple[int, float, float]], price: float, text: str
) -> None:
    make = Events()
    cast = [Vote(source=f"s{n}", direction=d, confidence=c, weight=w) for n, (d, c, w) in enumerate(votes)]
    entry: dict[str, Any] = {"entry": price, "stop": price / 2, "target": price * 2}
    times: dict[str, Any] = {"ts": ts, "received": 0 if received == ts else received}
    for table, events in (
        (
            "signals",
            [make.signal(**times, **entry, votes=cast, calibration="c1"), make.signal(1, sources=[])],
        ),
        (
            "reasons",
            [make.reason(**times, text=text, cost=price, latency_ns=received), make.reason(cached=True)],
        ),
        ("outcomes", [make.outcome(**times, exit=price, pnl=-price), make.outcome(2, best=0.0)]),
    ):
        travelled = [msgspec.json.decode(encode(event), type=type(event)) for event in events]
        back = row_events(table, event_rows(table, travelled))
        assert [encode(event) for event in back] == [encode(event) for event in events]
