"""A folder is read as the fetcher reads it, some symbols at a time."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from heliograph.common.errors import InputError
from heliograph.fetcher.load import prepare
from heliograph.fetcher.parquet import read_rows
from heliograph.fetcher.replay import parquet_files
from heliograph.lab.bars import bars_of
from heliograph.lab.folder import Folder

from .conftest import MakeFolder


def test_chunks_together_are_what_the_fetcher_reads(sample: Path) -> None:
    whole = bars_of(prepare([read_rows(file) for file in parquet_files(sample)], 16))
    folder = Folder(sample)
    parts = [bars_of(folder.replay(symbols, 16)) for symbols in folder.chunks(30)]
    assert [s for part in parts for s in part.symbols] == whole.symbols
    assert [i for part in parts for i in part.intervals] == whole.intervals
    for name in ("ts", "open", "high", "low", "close", "volume"):
        assert (
            np.concatenate([getattr(part, name) for part in parts]).tobytes()
            == getattr(whole, name).tobytes()
        )


def test_symbols_may_be_stored_as_a_dictionary(walks: MakeFolder) -> None:
    path = walks({"AAPL": 60, "MSFT": 60})
    expected = bars_of(Folder(path).replay(["MSFT"], 1))
    file = path / "1d.parquet"
    table = parquet.read_table(file)
    coded = table.set_column(0, "symbol", table["symbol"].dictionary_encode())
    parquet.write_table(coded, file)
    assert bars_of(Folder(path).replay(["MSFT"], 1)).close.tobytes() == expected.close.tobytes()


def test_what_is_no_bars_is_named(walks: MakeFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        Folder(tmp_path / "none")
    path = walks({"AAPL": 60})
    bad = path / "bad.parquet"
    bad.write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"bad.parquet: cannot be read .* expected a Parquet file"):
        Folder(path)
    parquet.write_table(pa.table({"symbol": ["A"], "close": [1.0]}), bad)
    with pytest.raises(InputError, match="column 'ts' is there 0 times"):
        Folder(path)
    table = parquet.read_table(path / "1d.parquet")
    parquet.write_table(table.set_column(2, "open", pa.array(["x"] * 60)), bad)
    with pytest.raises(InputError, match="column 'open' has the type string, expected number"):
        Folder(path).replay(["AAPL"], 1)


def test_a_folder_without_rows_is_refused(tmp_path: Path) -> None:
    columns = {name: pa.array([], pa.float64()) for name in ("open", "high", "low", "close", "volume")}
    times = pa.array([], pa.timestamp("ns", "UTC"))
    parquet.write_table(
        pa.table({"symbol": pa.array([], pa.string()), "ts": times, **columns}), tmp_path / "a.parquet"
    )
    with pytest.raises(InputError, match="has 0 rows in 1 files, expected bars"):
        Folder(tmp_path)


def test_splits_are_read_as_the_fetcher_reads_them(walks: MakeFolder) -> None:
    path = walks({"AAPL": 60, "MSFT": 60})
    file = path / "1d.parquet"
    table = parquet.read_table(file)
    rows = [n for n, symbol in enumerate(table["symbol"].to_pylist()) if symbol == "MSFT"]
    ratios = [4.0 if n == rows[20] else 1.0 for n in range(table.num_rows)]
    parquet.write_table(table.append_column("split", pa.array(ratios)), file)
    whole = prepare([read_rows(file)], 1).plan
    assert len(whole.splits) == 1
    start = table["ts"].cast(pa.int64())[rows[20]].as_py()
    for end, expected in ((2**62, [{"MSFT": 4.0}]), (start, [])):
        plan = Folder(path).replay(["MSFT"], 1, end).plan
        batches = [plan.bars(0, n, "replay", 0) for n in range(plan.batches(0))]
        assert [b.splits for b in batches if b.splits] == expected
