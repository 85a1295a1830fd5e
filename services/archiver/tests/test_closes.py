"""The newest closes, in the real engine."""

from typing import Any

import pytest

from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.closes import closes
from heliograph.archiver.requests import Request
from heliograph.archiver.rows import event_rows
from heliograph.common.errors import InputError


async def test_the_newest_close_of_each_symbol(db: ClickHouse, events: Any) -> None:
    await db.insert("bars", event_rows("bars", [events.bars(day, ("AAPL", "BRK.B")) for day in range(3)]))
    again = events.bars(2, ("AAPL",), close=[110.0])
    await db.insert("bars", event_rows("bars", [again]))
    found = await closes(db, Request({"symbols": ["AAPL", "BRK.B", "NONE"]}))
    assert found["closes"]["BRK.B"] == {"close": 104.0, "ts": events.start + 2 * events.day_ns}
    assert set(found["closes"]) == {"AAPL", "BRK.B"}
    assert found["closes"]["AAPL"]["ts"] == events.start + 2 * events.day_ns
    assert await closes(db, Request({"symbols": []})) == {"closes": {}}
    for wrong in ("AAPL", [1], [""], ["A"] * 501, None):
        with pytest.raises(InputError, match="symbols"):
            await closes(db, Request({"symbols": wrong}))


async def test_of_a_bar_that_comes_twice_in_one_insert_the_later_counts(db: ClickHouse, events: Any) -> None:
    await db.rows("SYSTEM STOP MERGES bars")
    symbols = tuple(f"S{number}" for number in range(50))
    closing = [[float(100 * turn + number) for number in range(50)] for turn in (3, 1, 2)]
    batches = [events.bars(1, symbols, close=prices) for prices in closing]
    await db.insert("bars", event_rows("bars", [*batches, events.bars(0, symbols)]))
    assert await db.rows("SELECT count() FROM bars") == [(200,)]
    found = await closes(db, Request({"symbols": list(symbols)}))
    assert [found["closes"][symbol]["close"] for symbol in symbols] == closing[-1]
    final = await db.rows("SELECT close FROM bars FINAL WHERE ts = (SELECT max(ts) FROM bars) ORDER BY close")
    assert [close for (close,) in final] == closing[-1]
