"""One day as CSV: for whoever cannot read Parquet. Times are nanoseconds; lists are JSON in one field."""

from collections.abc import Iterable
from io import BytesIO

import msgspec
import pyarrow as pa
import pyarrow.csv as pc


def write_csv(schema: pa.Schema, pages: Iterable[pa.Table]) -> bytes:
    """The rows with a header line; `read_csv` gives back exactly these."""
    buffer = BytesIO()
    with pc.CSVWriter(buffer, _flat(schema)) as writer:
        for page in pages:
            arrays = [_flatten(page[field.name], field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=_flat(schema)))
    return buffer.getvalue()


def read_csv(schema: pa.Schema, data: bytes) -> pa.Table:
    """The rows of a CSV object.

    Raises:
        pa.ArrowException, msgspec.DecodeError: it is not one with these columns.
    """
    flat = _flat(schema)
    rows = pc.read_csv(
        pa.BufferReader(data),
        parse_options=pc.ParseOptions(newlines_in_values=True),
        convert_options=pc.ConvertOptions(
            column_types=flat, include_columns=flat.names, null_values=[], strings_can_be_null=False
        ),
    )
    arrays = [_unflatten(rows[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def header(data: bytes) -> list[str]:
    """The names in the first line."""
    return [name.strip('"') for name in data.partition(b"\n")[0].decode(errors="replace").split(",")]


def _flat(schema: pa.Schema) -> pa.Schema:
    return pa.schema([(field.name, _flat_type(field.type)) for field in schema])


def _flat_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.int64()
    return pa.string() if pa.types.is_list(kind) else kind


def _flatten(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    if pa.types.is_list(kind):
        return pa.array([msgspec.json.encode(value).decode() for value in column.to_pylist()], pa.string())
    return column.cast(_flat_type(kind))


def _unflatten(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    if pa.types.is_list(kind):
        return pa.array([msgspec.json.decode(text) for text in column.to_pylist()], kind)
    return column.cast(kind)
