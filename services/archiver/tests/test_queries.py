"""What others ask, answered by the real database."""

from typing import Any

import msgspec
import pytest

from heliograph.archiver import counting, queries
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.requests import Request
from heliograph.archiver.rows import SpanBatch, event_rows, span_rows
from heliograph.common.errors import InputError


async def insert_spans(db: ClickHouse, spans: list[dict[str, Any]]) -> None:
    body = msgspec.json.encode({"spans": spans})
    await db.insert("spans", span_rows(msgspec.json.decode(body, type=SpanBatch).spans))


async def test_counts_are_exact_while_duplicates_are_not_merged(db: ClickHouse, events: Any) -> None:
    await db.rows("SYSTEM STOP MERGES bars")
    for _ in range(3):
        await db.insert("bars", event_rows("bars", [events.bars(day) for day in range(3)]))
        await insert_spans(db, [events.span(1), events.span(2)])
    [(parts, rows)] = await db.rows(
        "SELECT count(), sum(rows) FROM system.parts WHERE active AND table = 'bars'"
    )
    assert (parts, rows) == (3, 18)
    assert await counting.counts(db) == {
        "bars": 6,
        "signals": 0,
        "reasons": 0,
        "outcomes": 0,
        "votes": 0,
        "spans": 2,
    }


async def test_counts_follow_what_changes_a_month(db: ClickHouse, events: Any) -> None:
    """A month is not counted again until its parts are others: by an insert, a merge, a deletion."""

    async def bars() -> int:
        return (await counting.counts(db))["bars"]

    await db.insert("bars", event_rows("bars", [events.bars(day) for day in range(60)]))
    assert [await bars(), await bars()] == [120, 120]
    await db.insert("bars", event_rows("bars", [events.bars(day) for day in (59, 60)]))
    assert await bars() == 122
    await db.rows("OPTIMIZE TABLE bars FINAL")
    assert await bars() == 122
    await db.rows("DELETE FROM bars WHERE toYYYYMM(ts) = 202002")
    assert await bars() == 2 * 32
    await db.rows("TRUNCATE TABLE bars")
    assert await bars() == 0


async def test_a_trace_comes_back_as_it_travelled(db: ClickHouse, events: Any) -> None:
    spans = [events.span(2, 1), events.span(1)]
    await insert_spans(db, [*spans, events.span(3, trace_id="ff" * 16)])
    await insert_spans(db, spans)
    found = await queries.trace(db, Request({"trace_id": f"{1:032x}"}))
    assert found == {"spans": [events.span(1), events.span(2, 1)]}
    assert await queries.trace(db, Request({"trace_id": "none"})) == {"spans": []}


async def test_a_signal_finds_the_whole_traces_that_it_is_in(db: ClickHouse, events: Any) -> None:
    of_signal = {"attributes": {"heliograph.signal": "abc"}}
    other = {"trace_id": f"{2:032x}", "attributes": {"heliograph.signal": "other"}}
    await insert_spans(db, [events.span(1), events.span(2, 1, **of_signal), events.span(5, **other)])
    found = await queries.trace(db, Request({"signal": "abc"}))
    assert [s["span_id"] for s in found["spans"]] == [f"{n:016x}" for n in (1, 2)]


@pytest.mark.parametrize("fields", [{}, {"trace_id": "a", "signal": "b"}, {"trace_id": 5}, {"signal": ""}])
async def test_a_wrong_request_for_a_trace_is_refused(db: ClickHouse, fields: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        await queries.trace(db, Request(fields))


async def test_edges_count_who_follows_whom(db: ClickHouse, events: Any) -> None:
    for trace in (1, 2):
        made = [events.span(1), events.span(2, 1), events.span(3, 2), events.span(4, 99)]
        await insert_spans(db, [{**s, "trace_id": f"{trace:032x}"} for s in made])
    names = ("parent_service", "parent_name", "service", "name", "count")
    assert await queries.edges(db) == [
        dict(zip(names, ("service1", "step 1", "service2", "step 2", 2), strict=True)),
        dict(zip(names, ("service2", "step 2", "service3", "step 3", 2), strict=True)),
    ]


async def test_bars_are_the_newest_in_order(db: ClickHouse, events: Any) -> None:
    await db.insert("bars", event_rows("bars", [events.bars(day) for day in range(10)]))
    found = await queries.bars(db, Request({"symbol": "BRK.B", "limit": 3}))
    assert found["interval"] == "1d"
    assert found["ts"] == [events.start + day * events.day_ns for day in (7, 8, 9)]
    assert found["close"] == [109.0, 110.0, 111.0]
    assert {len(column) for name, column in found.items() if name != "interval"} == {3}


async def test_bars_between_two_times_include_both(db: ClickHouse, events: Any) -> None:
    await db.insert("bars", event_rows("bars", [events.bars(day) for day in range(10)]))
    times = [events.start + day * events.day_ns for day in range(10)]
    found = await queries.bars(db, Request({"symbol": "AAPL", "from": times[2], "to": times[5]}))
    assert found["ts"] == times[2:6]
    assert (await queries.bars(db, Request({"symbol": "AAPL", "from": times[9] + 1})))["ts"] == []


async def test_bars_of_several_intervals_are_not_mixed(db: ClickHouse, events: Any) -> None:
    hours = [
        events.bars(0, ("AAPL",), interval="1h", ts=events.start + h * events.day_ns // 24) for h in range(24)
    ]
    await db.insert("bars", event_rows("bars", [*hours, events.bars(0, ("AAPL",))]))
    newest = await queries.bars(db, Request({"symbol": "AAPL"}))
    assert (newest["interval"], len(newest["ts"])) == ("1h", 24)
    daily = await queries.bars(db, Request({"symbol": "AAPL", "interval": "1d"}))
    assert (daily["interval"], len(daily["ts"])) == ("1d", 1)


@pytest.mark.parametrize("symbol", ["NONE", "a'; DROP TABLE bars --", "BTC/USD", "é ü", "{symbol:String}"])
async def test_a_symbol_without_bars_gives_empty_columns(db: ClickHouse, symbol: str) -> None:
    found = await queries.bars(db, Request({"symbol": symbol}))
    names = ("ts", "open", "high", "low", "close", "volume")
    assert found == {"interval": "", **{n: [] for n in names}}


async def test_a_symbol_of_odd_characters_is_found(db: ClickHouse, events: Any) -> None:
    symbol = "a'b\\c {x} %s é"
    await db.insert("bars", event_rows("bars", [events.bars(0, (symbol,))]))
    assert len((await queries.bars(db, Request({"symbol": symbol})))["ts"]) == 1


async def test_the_version_is_the_engines(db: ClickHouse) -> None:
    assert await queries.versions(db) == {"clickhouse": db.version}


async def test_bars_that_came_twice_do_not_take_the_place_of_others(db: ClickHouse, events: Any) -> None:
    days = [events.bars(day, ("AAPL",)) for day in range(8)]
    for part in (days, days[4:], days[6:]):
        await db.insert("bars", event_rows("bars", part))
    found = await queries.bars(db, Request({"symbol": "AAPL", "limit": 5}))
    assert found["ts"] == [events.start + day * events.day_ns for day in range(3, 8)]
    early = {"symbol": "AAPL", "limit": 5, "to": events.start + 2 * events.day_ns, "from": -(1 << 63) + 1}
    assert len((await queries.bars(db, Request(early)))["ts"]) == 3


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("interval", ["1m", "7s"])
async def test_bars_before_a_long_pause_are_found(
    db: ClickHouse, events: Any, interval: str, limit: int
) -> None:
    """Those that are asked for lie before the pause, in it and after it; an interval may have any name."""
    minutes = [0, 1, 2, 3, 90_000]
    times = [events.start + minute * 60 * 10**9 for minute in minutes]
    made = [events.bars(0, ("AAPL",), interval=interval, ts=ts) for ts in times]
    await db.insert("bars", event_rows("bars", made))
    found = await queries.bars(db, Request({"symbol": "AAPL", "limit": limit}))
    assert (found["interval"], found["ts"]) == (interval, times[-limit:])
