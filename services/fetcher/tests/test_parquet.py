"""What the replay provider reads, and how it says what it cannot."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from heliograph.common.errors import InputError
from heliograph.fetcher.parquet import read_rows
from heliograph.fetcher.provider import NO_TIME, Rows
from heliograph.fetcher.replay import ReplayProvider

Folder = Callable[..., Path]
WHEN = datetime(2020, 3, 1, 14, 30, tzinfo=UTC)
WHEN_NS = 1_583_073_000 * 10**9


def columns(count: int = 2, **changes: Any) -> pa.Table:
    found: dict[str, Any] = {
        "symbol": ["AAPL", "BRK.B"][:count],
        "ts": pa.array([WHEN] * count, pa.timestamp("us", "UTC")),
        **{name: [1.5] * count for name in ("open", "high", "low", "close", "volume")},
    }
    return pa.table({k: v for k, v in {**found, **changes}.items() if v is not None})


async def test_splits_are_read_where_a_file_has_them(folder: Folder) -> None:
    given = columns(split=pa.array([None, 4.0]))
    [rows] = await read(folder({"a.parquet": given}))
    assert rows.splits == {1: 4.0}
    [rows] = await read(folder({"a.parquet": columns(split=[1, 1])}))
    assert rows.splits == {}


@pytest.mark.parametrize("ratio", [0.0, -2.0, float("inf")])
async def test_a_split_that_is_none_is_refused(folder: Folder, ratio: float) -> None:
    with pytest.raises(
        InputError, match=r"a\.parquet: column 'split': .* in row 1, expected a finite positive"
    ):
        await read(folder({"a.parquet": columns(split=[1.0, ratio])}))


async def read(folder: Path) -> list[Rows]:
    return [rows async for rows in ReplayProvider(folder).rows()]


@pytest.mark.parametrize(
    "ts",
    [
        pa.array([WHEN] * 2, pa.timestamp("s", "UTC")),
        pa.array([WHEN] * 2, pa.timestamp("ms", "UTC")),
        pa.array([WHEN] * 2, pa.timestamp("us", "America/New_York")),
        pa.array([WHEN] * 2, pa.timestamp("ns", "UTC")),
        pa.array([WHEN.replace(tzinfo=None)] * 2, pa.timestamp("us")),
        pa.array([WHEN_NS] * 2, pa.int64()),
    ],
    ids=str,
)
def test_any_timestamp_is_utc_nanoseconds(folder: Folder, ts: pa.Array) -> None:
    rows = read_rows(folder({"a.parquet": columns(ts=ts)}) / "a.parquet")
    assert rows.ts.tolist() == [WHEN_NS] * 2


@pytest.mark.parametrize(
    "symbol",
    [
        pa.array(["AAPL", "BRK.B"], pa.string()),
        pa.array(["AAPL", "BRK.B"], pa.large_string()),
        pa.array(["AAPL", "BRK.B"]).dictionary_encode(),
    ],
    ids=lambda a: str(a.type),
)
def test_any_text_is_a_symbol(folder: Folder, symbol: pa.Array) -> None:
    rows = read_rows(folder({"a.parquet": columns(symbol=symbol)}) / "a.parquet")
    assert [rows.symbols[c] for c in rows.code] == ["AAPL", "BRK.B"]


@pytest.mark.parametrize(
    "close",
    [pa.array([1, 2]), pa.array([1, 2], pa.float32()), pa.array([Decimal("1.00"), Decimal("2.00")])],
    ids=lambda a: str(a.type),
)
def test_any_number_is_a_price(folder: Folder, close: pa.Array) -> None:
    rows = read_rows(folder({"a.parquet": columns(close=close)}) / "a.parquet")
    assert rows.close.tolist() == [1.0, 2.0]
    assert rows.close.dtype == np.float64


def test_nulls_become_what_the_gate_refuses(folder: Folder) -> None:
    made = folder(
        {
            "a.parquet": columns(
                symbol=pa.array(["AAPL", None]),
                ts=pa.array([None, WHEN], pa.timestamp("us", "UTC")),
                open=pa.array([None, 1.0]),
            )
        }
    )
    rows = read_rows(made / "a.parquet")
    assert [rows.symbols[c] for c in rows.code] == ["AAPL", ""]
    assert rows.ts.tolist() == [NO_TIME, WHEN_NS]
    assert np.isnan(rows.open[0])
    assert rows.open[1] == 1.0


def test_times_beyond_nanoseconds_are_no_times(folder: Folder) -> None:
    far = pa.array([10**12, -(10**12)], pa.timestamp("s", "UTC"))
    rows = read_rows(folder({"a.parquet": columns(ts=far)}) / "a.parquet")
    assert rows.ts.tolist() == [NO_TIME, NO_TIME]


@pytest.mark.parametrize(
    ("changes", "column", "found", "expected"),
    [
        ({"close": None}, "'close'", "0 times", "expected once"),
        ({"ts": None}, "'ts'", "0 times", "symbol, ts, open"),
        ({"open": ["1.5", "2"]}, "'open'", "string", "expected number"),
        ({"volume": [True, False]}, "'volume'", "bool", "expected number"),
        ({"symbol": [1, 2]}, "'symbol'", "int64", "expected text"),
        ({"ts": [1.0, 2.0]}, "'ts'", "double", "expected timestamp or int64"),
        ({"ts": [date(2020, 1, 1)] * 2}, "'ts'", "date32", "expected timestamp or int64"),
        ({"ts": [1_583_073_000] * 2}, "'ts'", "1583073000", "expected nanoseconds"),
        ({"ts": [1_583_073_000_000_000] * 2}, "'ts'", "1583073000000000", "expected nanoseconds"),
    ],
)
def test_a_wrong_column_is_named(
    folder: Folder, changes: dict[str, Any], column: str, found: str, expected: str
) -> None:
    path = folder({"bars of 2020.parquet": columns(**changes)}) / "bars of 2020.parquet"
    with pytest.raises(InputError) as error:
        read_rows(path)
    for part in (str(path), column, found, expected):
        assert part in str(error.value)


@pytest.mark.parametrize("content", [b"", b"symbol,ts\nAAPL,1\n", b"PAR1" + b"\x00" * 40 + b"PAR1"])
def test_what_is_not_parquet_is_said_to_be(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet.*cannot be read.*expected a Parquet file"):
        read_rows(path)


def test_a_file_cut_short_is_said_to_be(folder: Folder) -> None:
    path = folder({"a.parquet": columns()}) / "a.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="expected a Parquet file"):
        read_rows(path)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data: .*nowhere.* is not a folder"):
        await read(tmp_path / "nowhere")


async def test_a_file_is_no_folder(folder: Folder) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        await read(folder({"a.parquet": columns()}) / "a.parquet")


async def test_a_folder_without_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text("symbol,ts\n")
    with pytest.raises(InputError, match=r"holds no \*\.parquet file"):
        await read(tmp_path)


async def test_files_without_any_row_are_refused(folder: Folder) -> None:
    empty = columns().slice(0, 0)
    with pytest.raises(InputError, match="0 rows in 2 files"):
        await read(folder({"a.parquet": empty, "b.parquet": empty}))


async def test_an_empty_file_among_others_is_noted(folder: Folder) -> None:
    provider = ReplayProvider(folder({"a.parquet": columns().slice(0, 0), "b.parquet": columns()}))
    rows = [r async for r in provider.rows()]
    assert [r.origin for r in rows] == ["b.parquet"]
    assert provider.empty_files == ["a.parquet"]


async def test_other_columns_and_files_do_not_matter(folder: Folder) -> None:
    made = folder({"b.parquet": columns(vwap=["x", "y"]), "a.parquet": columns(1)})
    (made / "README").write_text("x")
    (made / ".hidden.parquet").write_bytes(b"x")
    assert [(r.origin, len(r.ts)) for r in await read(made)] == [("a.parquet", 1), ("b.parquet", 2)]
