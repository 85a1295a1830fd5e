"""Bars read by whole columns: the same rows as from the batches' lists, and the same refusals."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.archiver.bar_columns import BarColumns
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.rows import event_rows
from heliograph.common.errors import PoisonError
from heliograph.common.events import BarBatch, encode

DECODER = msgspec.json.Decoder(BarColumns)
PRICES = ("open", "high", "low", "close", "volume")


def as_read(*batches: BarBatch) -> list[BarColumns]:
    """Batches as the archiver gets them."""
    return [DECODER.decode(encode(batch)) for batch in batches]


@st.composite
def batches(draw: st.DrawFn) -> BarBatch:
    """A batch of any symbols and numbers that JSON knows, a few with a split."""
    symbols = draw(st.lists(st.text(st.characters(codec="utf-8"), max_size=6), max_size=5, unique=True))
    numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1)
    prices: dict[str, Any] = {
        name: draw(st.lists(numbers, min_size=len(symbols), max_size=len(symbols))) for name in PRICES
    }
    ratios = st.floats(0.01, 100)
    splits = draw(st.none() | st.dictionaries(st.sampled_from([*symbols, "GONE"]), ratios, max_size=3))
    return BarBatch(
        id=draw(st.text("0123456789abcdef", min_size=16, max_size=16)),
        ts=draw(st.integers(0, 2**62)),
        received=draw(st.integers(0, 2**62)),
        interval=draw(st.sampled_from(["1m", "1d"])),
        symbols=symbols,
        source="any",
        splits=splits or msgspec.UNSET,
        **prices,
    )


@given(st.lists(batches(), min_size=1, max_size=4))
def test_the_rows_are_those_of_the_lists(given_batches: list[BarBatch]) -> None:
    lists = [msgspec.json.decode(encode(batch), type=BarBatch) for batch in given_batches]
    assert event_rows("bars", as_read(*given_batches)).equals(event_rows("bars", lists))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("symbols", b'["A",1]', "bars.symbol: "),
        ("symbols", b'["A","B"]', "bars.open: 1 values, expected 2, one a symbol"),
        ("symbols", b"null", "bars.symbol: "),
        ("open", b"[]", "bars.open: 0 values, expected 1"),
        ("open", b"[1,2]", "bars.open: 2 values, expected 1"),
        ("high", b"[ ]", "bars.high: 0 values, expected 1"),
        ("high", b"[[1]]", "bars.high: expected lists of numbers without others in them"),
        ("low", b"[null]", "bars.low: .*expected numbers"),
        ("low", b'["1"]', "bars.low: .*expected numbers"),
        ("close", b"[true]", "bars.close: .*expected numbers"),
        ("close", b"1", "bars.close: "),
        ("volume", b"{}", "bars.volume: "),
        ("volume", b'{"a":1}', "bars.volume: "),
        ("volume", b"[1e999]", "bars.volume: .*expected numbers"),
        ("splits", b'{"A":0}', "bars.split: 0.0 of A, expected a finite positive number"),
        ("splits", b'{"A":-2}', "bars.split: -2.0 of A"),
    ],
)
def test_what_is_not_a_batch_is_poison_beside_others(
    events: Any, column: str, value: bytes, message: str
) -> None:
    whole = msgspec.json.decode(encode(events.bars(symbols=("A",))), type=dict[str, msgspec.Raw])
    wrong = DECODER.decode(msgspec.json.encode(whole | {column: msgspec.Raw(value)}))
    right = as_read(events.bars(1))
    for given_batches in ([wrong], [*right, wrong], [wrong, *right]):
        with pytest.raises(PoisonError, match=message):
            event_rows("bars", given_batches)
    assert event_rows("bars", right).num_rows == 2


def test_a_number_is_read_to_its_last_digit(events: Any) -> None:
    numbers = [0.1, 1 / 3, 123456.789012345, 5e-324, 1.7976931348623157e308, -0.0, 2**53 + 1]
    names = tuple(f"S{number}" for number in range(len(numbers)))
    [column] = [event_rows("bars", as_read(events.bars(symbols=names, close=numbers)))["close"].to_pylist()]
    assert column == [float(number) for number in numbers]
    assert math.copysign(1, column[5]) == -1


async def test_rows_that_come_twice_in_one_insert_count_once_before_any_merge(
    db: ClickHouse, events: Any
) -> None:
    await db.rows("SYSTEM STOP MERGES bars")
    batch = events.bars()
    await db.insert("bars", event_rows("bars", as_read(batch, batch, events.bars(1), batch)))
    assert await db.rows("SELECT count(), (SELECT count() FROM bars FINAL) FROM bars") == [(8, 4)]
