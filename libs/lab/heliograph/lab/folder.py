"""The bars of a folder, some symbols at a time, through the fetcher's own quality gate."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from heliograph.common.errors import InputError
from heliograph.fetcher.load import Replay, prepare
from heliograph.fetcher.parquet import (
    COLUMNS,
    PRICES,
    SPLIT,
    check_columns,
    column_of,
    floats,
    ratios,
    symbol_codes,
    times,
)
from heliograph.fetcher.provider import Rows
from heliograph.fetcher.replay import parquet_files
from heliograph.lab.period import END

CHUNK = 100
"""Symbols that are in memory at a time, unless told otherwise."""


class Folder:
    """A folder of Parquet files with bars, as `heliograph up --data` takes it.

    Attributes:
        symbols: the distinct texts in the column of symbols, sorted.
        rows: how many rows the files have.

    Raises:
        InputError: no such folder, no file, no row, or a file is wrong.
    """

    def __init__(self, path: Path) -> None:
        self._files = parquet_files(path)
        found: set[str] = set()
        self.rows = 0
        for file in self._files:
            try:
                with pq.ParquetFile(file, read_dictionary=["symbol"]) as opened:
                    check_columns(opened.schema_arrow.names, file)
                    self.rows += opened.metadata.num_rows
                    found.update(symbol_codes(column_of(opened, "symbol"), file)[0])
            except (OSError, pa.ArrowException) as error:
                raise unreadable(file, error) from error
        if not self.rows:
            raise InputError(f"data: {str(path)!r} has 0 rows in {len(self._files)} files, expected bars")
        self.symbols = sorted(found)

    def chunks(self, size: int = CHUNK) -> Iterator[Sequence[str]]:
        """The symbols, at most `size` at a time, in order."""
        for start in range(0, len(self.symbols), size):
            yield self.symbols[start : start + size]

    def replay(self, symbols: Sequence[str], shards: int, end: int = END) -> Replay:
        """What the fetcher makes of the bars of some symbols that start before `end`.

        The signals of a symbol do not depend on which others are read with it. Only these symbols' bars are
        in memory. Row groups without any of them are not read, so that files sorted by symbol are read once
        in all.

        Raises:
            InputError: a column has the wrong type, or a symbol has bars of two intervals.
        """
        read = (read_some(file, symbols) for file in self._files)
        parts = [kept for rows in read if len((kept := before(rows, end)).ts)]
        return prepare(parts, shards)


def read_some(file: Path, symbols: Sequence[str]) -> Rows:
    """The rows of some symbols in a file, in its order; as the fetcher's `read_rows` reads all of them.

    Raises:
        InputError: it cannot be read, or a column has another type.
    """
    try:
        scanned = ds.dataset(file, format="parquet")
        kind = scanned.schema.field("symbol").type
        text = kind.value_type if pa.types.is_dictionary(kind) else kind
        column = pc.field("symbol").cast(text) if text != kind else pc.field("symbol")
        wanted = column.isin(pa.array(symbols, text))
        if "" in symbols:  # a missing symbol counts as the empty one
            wanted |= pc.field("symbol").is_null()
        names = [*COLUMNS, SPLIT] if SPLIT in scanned.schema.names else list(COLUMNS)
        table = scanned.to_table(columns=names, filter=wanted, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(file, error) from error
    texts, code = symbol_codes(table["symbol"], file)
    numbers = {name: floats(table[name], name, file) for name in PRICES}
    splits = ratios(table[SPLIT], file) if SPLIT in names else {}
    return Rows(
        origin=file.name, symbols=texts, code=code, ts=times(table["ts"], file), splits=splits, **numbers
    )


def before(rows: Rows, end: int) -> Rows:
    """The rows that start before `end`."""
    kept = rows.ts < end
    if kept.all():
        return rows
    columns = {name: getattr(rows, name)[kept] for name in ("code", "ts", *PRICES)}
    number = np.cumsum(kept) - 1
    splits = {int(number[row]): ratio for row, ratio in rows.splits.items() if kept[row]}
    return Rows(origin=rows.origin, symbols=rows.symbols, splits=splits, **columns)


def unreadable(file: Path, error: Exception) -> InputError:
    """The error for a file that is none of Parquet, or damaged."""
    return InputError(f"{file}: cannot be read ({' '.join(str(error).split())}), expected a Parquet file")
