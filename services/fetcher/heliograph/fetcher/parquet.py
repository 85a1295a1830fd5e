"""Reads one Parquet file of bars into columns, or says exactly what is wrong with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from heliograph.common.errors import InputError
from heliograph.fetcher.provider import NO_TIME, Codes, Numbers, Rows, Times

PRICES = ("open", "high", "low", "close", "volume")
COLUMNS = ("symbol", "ts", *PRICES)
SPLIT = "split"
"""A column that a file may have: new shares for each old one from this bar on; 1 or nothing where none."""
NANOSECONDS_OF_UNIT = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
SMALLEST_PLAUSIBLE_NS = 10**16
"""April 1970: an integer column whose median is below it counts seconds, milliseconds or microseconds."""


def read_rows(path: Path) -> Rows:
    """The bars of a file, in its order; rows may be empty.

    Args:
        path: a Parquet file with `COLUMNS`; `ts` a timestamp of any unit and zone (none means UTC), or
            nanoseconds as int64; `SPLIT` may be there. Other columns are ignored.

    Raises:
        InputError: it cannot be read, lacks a column, or a column has another type; the message names the
            file, the column, what was found and what was expected.
    """
    try:
        with pq.ParquetFile(path, read_dictionary=["symbol"]) as file:
            check_columns(file.schema_arrow.names, path)
            symbols, code = symbol_codes(column_of(file, "symbol"), path)
            ts = times(column_of(file, "ts"), path)
            numbers = {name: floats(column_of(file, name), name, path) for name in PRICES}
            has_splits = SPLIT in file.schema_arrow.names
            splits = ratios(column_of(file, SPLIT), path) if has_splits else {}
        pa.default_memory_pool().release_unused()
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read ({reason}), expected a Parquet file") from error
    return Rows(origin=path.name, symbols=symbols, code=code, ts=ts, splits=splits, **numbers)


def ratios(column: pa.ChunkedArray, path: Path) -> dict[int, float]:
    """The splits in a column, by row; 1 is none.

    Raises:
        InputError: one is not a finite positive number.
    """
    values = floats(column, SPLIT, path)
    rows = np.flatnonzero(~np.isnan(values) & (values != 1.0))
    for row in rows.tolist():
        if not 0.0 < values[row] < np.inf:
            raise InputError(
                f"{path}: column {SPLIT!r}: {values[row]!r} in row {row}, expected a finite positive number"
            )
    return {row: float(values[row]) for row in rows.tolist()}


def check_columns(found: list[str], path: Path) -> None:
    """Refuse a file without exactly one of each column."""
    for name in COLUMNS:
        if found.count(name) != 1:
            raise InputError(
                f"{path}: column {name!r} is there {found.count(name)} times, expected once; "
                f"found {', '.join(found) or 'none'}, expected {', '.join(COLUMNS)}"
            )


def column_of(file: pq.ParquetFile, name: str) -> pa.ChunkedArray:
    """One column; one at a time and by one thread, since speed is no matter here and memory is."""
    return file.read(columns=[name], use_threads=False).column(0)


def symbol_codes(column: pa.ChunkedArray, path: Path) -> tuple[list[str], Codes]:
    """The distinct symbols and the index of each row's; a missing symbol counts as the empty one."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise wrong_type(path, "symbol", column.type, "text")
    number: dict[str, int] = {}
    codes = [np.empty(0, dtype=np.int32)]
    try:
        for chunk in column.dictionary_encode().chunks:
            texts = [*(s or "" for s in chunk.dictionary.to_pylist()), ""]
            places = np.array([number.setdefault(s, len(number)) for s in texts], dtype=np.int32)
            indices, missing = as_numpy(chunk.indices.cast(pa.int32()), np.int32)
            codes.append(places[np.where(missing, len(texts) - 1, indices)])
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: column 'symbol' is not UTF-8 ({error}), expected text") from error
    return list(number), np.concatenate(codes)


def times(column: pa.ChunkedArray, path: Path) -> Times:
    """UTC nanoseconds; `NO_TIME` where missing or out of their range."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        scale = NANOSECONDS_OF_UNIT[kind.unit]
    elif pa.types.is_int64(kind):
        scale = 1
    else:
        raise wrong_type(path, "ts", kind, "timestamp or int64 (nanoseconds)")
    array = column.cast(pa.int64()).combine_chunks()
    found, missing = as_numpy(array, np.int64)
    values: Times = found.copy()
    if pa.types.is_int64(kind) and not missing.all():
        check_unit(float(np.median(values[~missing])), path)
    limit = np.iinfo(np.int64).max // scale
    missing |= (values > limit) | (values < -limit)
    values *= scale
    values[missing] = NO_TIME
    return values


def check_unit(median: float, path: Path) -> None:
    """Refuse integers that count another unit than nanoseconds."""
    if abs(median) < SMALLEST_PLAUSIBLE_NS:
        raise InputError(
            f"{path}: column 'ts' has the median {median:.0f}, "
            "expected nanoseconds since 1970 in an int64 column, or a timestamp column"
        )


def floats(column: pa.ChunkedArray, name: str, path: Path) -> Numbers:
    """Numbers as float64; NaN where missing."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise wrong_type(path, name, kind, "number")
    values, missing = as_numpy(column.cast(pa.float64(), safe=False).combine_chunks(), np.float64)
    return np.where(missing, np.nan, values) if missing.any() else values


def as_numpy(array: pa.Array, kind: type[np.generic]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """An Arrow array of numbers as it lies in memory, and where it is null (the number there means nothing).

    By the buffers, since `to_numpy` and `fill_null` import pandas where it is installed: that takes a second.
    """
    buffer = array.buffers()[1]
    if not len(array) or buffer is None:
        return np.zeros(len(array), dtype=kind), np.ones(len(array), dtype=bool)
    values = np.frombuffer(buffer, dtype=kind)[array.offset : array.offset + len(array)]
    missing = np.zeros(len(array), dtype=bool)
    if array.null_count:
        missing = np.from_dlpack(array.is_null().cast(pa.uint8())).astype(bool)
    return values, missing


def wrong_type(path: Path, column: str, found: pa.DataType, expected: str) -> InputError:
    """The error for a column of another type."""
    return InputError(f"{path}: column {column!r} has the type {found}, expected {expected}")
