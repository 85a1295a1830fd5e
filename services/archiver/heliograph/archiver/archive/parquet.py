"""One day of a table as an object, Parquet or CSV, with its manifest, and the proof that the two agree."""

import hashlib
from io import BytesIO
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from heliograph.archiver.archive.csv_day import header, read_csv, write_csv
from heliograph.archiver.schema import Table
from heliograph.common.errors import InputError, InvariantError

PAGE_ROWS = 1 << 16
"""Rows that are read and inserted at once."""
ROW_GROUP = 1 << 14
"""Rows that a reader leaves out together, by their statistics; smaller ones cost more than they save."""
ZSTD_LEVEL = 3
NAME_DIGITS = 12
MANIFEST = "_manifest.json"
"""The underscore keeps readers of hive folders from taking it for data."""
Format = Literal["zstd", "snappy", "csv"]
"""Parquet compressed by ZSTD or by Snappy, or plain CSV."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one archived day of a table is.

    Attributes:
        object: key of its Parquet object, named by its content.
        rows: in it; `bytes` its size.
        sha256: of the object, hex.
        schema: name and version of the table's schema, e.g. `bars@1`.
        columns: name and Arrow type of each, in order.
        first: event time of the earliest row, UTC nanoseconds; `last` of the latest.
        fingerprint: of the rows in ClickHouse when it was made: the day is made again when it differs.
        format: of the object.
        dropped: ClickHouse no longer has these rows; they come back before the day is made again.
    """

    table: str
    day: str
    object: str
    rows: int
    bytes: int
    sha256: str
    schema: str
    columns: list[tuple[str, str]]
    first: int
    last: int
    fingerprint: str
    v: int = 1
    format: Format = "zstd"
    dropped: bool = False


def folder(table: str, day: str) -> str:
    """The hive path of a day."""
    return f"{table}/date={day}/"


def manifest_key(table: str, day: str) -> str:
    """Where a day's manifest is."""
    return folder(table, day) + MANIFEST


def schema_name(table: Table) -> str:
    """What a manifest calls the table's schema."""
    return f"{table.name}@{table.version}"


class DayWriter:
    """Writes one day's rows into memory: as Parquet sorted, with statistics and a page index, or as CSV.

    The same rows in pages of the same size give the same bytes, and so the same name.
    """

    def __init__(self, table: Table, day: str, form: Format = "zstd") -> None:
        self._table = table
        self._day = day
        self._form: Format = form
        self._buffer = BytesIO()
        self._rows = 0
        self._first: int | None = None
        self._last = 0
        self._pages: list[pa.Table] = []
        self._writer = None if form == "csv" else _parquet_writer(table, self._buffer, form)

    def add(self, rows: pa.Table) -> None:
        """Write a page: at least one row with the table's columns, in its order, after the pages before."""
        # In one piece, because the pages of the object follow the chunks of the table.
        whole = rows.combine_chunks()
        if self._writer is None:
            self._pages.append(whole)
        else:
            self._writer.write_table(whole, row_group_size=ROW_GROUP)
        first, last = time_range(self._table, rows)
        self._rows += rows.num_rows
        self._first = first if self._first is None else min(self._first, first)
        self._last = max(self._last, last)

    def finish(self, fingerprint: str) -> tuple[bytes, Manifest]:
        """The object and its manifest.

        Raises:
            InvariantError: no row was added.
        """
        if self._writer is not None:
            self._writer.close()
        if self._first is None:
            raise InvariantError(f"{self._table.name} {self._day}: 0 rows, expected at least one")
        data = self._buffer.getvalue() if self._writer else write_csv(self._table.columns, self._pages)
        sha256 = hashlib.sha256(data).hexdigest()
        name = f"part-{sha256[:NAME_DIGITS]}.{'csv' if self._form == 'csv' else 'parquet'}"
        manifest = Manifest(
            table=self._table.name,
            day=self._day,
            object=folder(self._table.name, self._day) + name,
            rows=self._rows,
            bytes=len(data),
            sha256=sha256,
            schema=schema_name(self._table),
            columns=columns_of(self._table.columns),
            first=self._first,
            last=self._last,
            fingerprint=fingerprint,
            format=self._form,
        )
        return data, manifest


def _parquet_writer(table: Table, buffer: BytesIO, compression: str) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        buffer,
        table.columns,
        compression=compression,
        compression_level=ZSTD_LEVEL if compression == "zstd" else None,
        # Prices hardly repeat within a day: a dictionary of them costs time and bytes.
        use_dictionary=[field.name for field in table.columns if field.type == pa.string()],
        write_statistics=True,
        # Every type here has a name of Parquet's own; Arrow's would be a seventh of a small day.
        store_schema=False,
        write_page_index=True,
        sorting_columns=pq.SortingColumn.from_ordering(
            table.columns, [(name, "ascending") for name in table.key]
        ),
    )


def is_object(key: str) -> bool:
    """Whether a key is that of a day's object, whichever its format."""
    return key.endswith((".parquet", ".csv"))


def columns_of(schema: pa.Schema) -> list[tuple[str, str]]:
    """Name and type of each column."""
    return [(field.name, str(field.type)) for field in schema]


def time_range(table: Table, rows: pa.Table) -> tuple[int, int]:
    """The earliest and the latest event time, UTC nanoseconds."""
    found = pc.min_max(rows[table.time])
    return found["min"].value, found["max"].value


def fault(table: Table, manifest: Manifest, data: bytes | None) -> str:
    """What is wrong with an object as its store gave it back; empty when it is what the manifest says.

    The bytes are compared by sha256, then opened as Parquet: columns, row count, range of the event time.
    """
    if data is None:
        return "missing"
    if len(data) != manifest.bytes:
        return f"{len(data)} bytes, expected {manifest.bytes}"
    if (found := hashlib.sha256(data).hexdigest()) != manifest.sha256:
        return f"sha256 {found}, expected {manifest.sha256}"
    try:
        if manifest.format == "csv":
            return _csv_fault(table, manifest, data)
        return _content_fault(table, manifest, pq.ParquetFile(pa.BufferReader(data)))
    except (pa.ArrowException, OSError, msgspec.DecodeError) as error:
        return f"not {'CSV' if manifest.format == 'csv' else 'Parquet'}: {error}"


def read_day(table: Table, manifest: Manifest, data: bytes | None) -> pa.Table:
    """The rows of an archived day.

    Raises:
        InputError: the object is missing, truncated or altered, or its schema is not the table's.
    """
    if manifest.schema != schema_name(table) or manifest.columns != columns_of(table.columns):
        raise InputError(f"{manifest.object}: schema {manifest.schema}, expected {schema_name(table)}")
    if wrong := fault(table, manifest, data):
        raise InputError(f"{manifest.object}: {wrong}")
    if manifest.format == "csv":
        return read_csv(table.columns, data or b"")
    return pq.read_table(pa.BufferReader(data)).cast(table.columns)


def _csv_fault(table: Table, manifest: Manifest, data: bytes) -> str:
    if (names := header(data)) != [name for name, _ in manifest.columns]:
        return f"columns {names}, expected {[name for name, _ in manifest.columns]}"
    if columns_of(table.columns) != manifest.columns:
        return f"columns {manifest.columns}, expected {columns_of(table.columns)}"
    rows = read_csv(table.columns, data)
    return _differs(manifest, (rows.num_rows, *time_range(table, rows)))


def _content_fault(table: Table, manifest: Manifest, file: pq.ParquetFile) -> str:
    columns = columns_of(file.schema_arrow)
    if columns != manifest.columns:
        return f"columns {columns}, expected {manifest.columns}"
    place = [file.schema.column(i).path for i in range(len(file.schema))].index(table.time)
    parts = [file.metadata.row_group(i).column(place).statistics for i in range(file.num_row_groups)]
    first = min((part.min_raw for part in parts), default=0)
    last = max((part.max_raw for part in parts), default=0)
    return _differs(manifest, (file.metadata.num_rows, first, last))


def _differs(manifest: Manifest, found: tuple[int, int, int]) -> str:
    expected = (manifest.rows, manifest.first, manifest.last)
    return "" if found == expected else f"rows, first, last {found}, expected {expected}"
