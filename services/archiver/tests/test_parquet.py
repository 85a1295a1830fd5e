"""A day as Parquet: readable by any reader, the same bytes for the same rows, and every fault is found."""

import hashlib
from io import BytesIO
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heliograph.archiver.archive.parquet import PAGE_ROWS, DayWriter, Manifest, fault
from heliograph.archiver.rows import event_rows
from heliograph.archiver.schema import BARS, EVENT_TABLES, SIGNALS
from heliograph.common.errors import InvariantError


def encode(rows: pa.Table, table: Any = BARS, day: str = "2020-01-01") -> tuple[bytes, Manifest]:
    writer = DayWriter(table, day)
    for start in range(0, rows.num_rows, PAGE_ROWS):
        writer.add(rows.slice(start, PAGE_ROWS))
    return writer.finish("f")


@pytest.fixture
def day(events: Any) -> pa.Table:
    return event_rows("bars", [events.bars(0, tuple(f"S{n:03}" for n in range(100)))])


def test_a_day_is_read_back_as_it_was(day: pa.Table) -> None:
    data, manifest = encode(day)
    assert pq.read_table(BytesIO(data)).equals(day)
    assert manifest.object == f"bars/date=2020-01-01/part-{manifest.sha256[:12]}.parquet"
    assert (manifest.rows, manifest.bytes, manifest.schema) == (100, len(data), "bars@2")
    assert fault(BARS, manifest, data) == ""


@pytest.mark.parametrize("table", EVENT_TABLES, ids=lambda t: t.name)
def test_every_table_has_a_parquet_form(events: Any, table: Any) -> None:
    made = {
        "bars": events.bars,
        "signals": events.signal,
        "reasons": events.reason,
        "outcomes": events.outcome,
        "votes": events.votes,
    }
    rows = event_rows(table.name, [made[table.name]()])
    data, manifest = encode(rows, table)
    assert pq.read_table(BytesIO(data)).equals(rows)
    assert fault(table, manifest, data) == ""


def test_it_is_compressed_sorted_and_indexed(day: pa.Table) -> None:
    data, _ = encode(day)
    group = pq.ParquetFile(BytesIO(data)).metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert {c.compression for c in columns} == {"ZSTD"}
    assert all(c.has_column_index and c.has_offset_index and c.is_stats_set for c in columns)
    assert [s.column_index for s in group.sorting_columns] == [BARS.columns.names.index(k) for k in BARS.key]


def test_the_same_rows_give_the_same_object_however_they_are_chunked(day: pa.Table) -> None:
    chunks = pa.concat_tables([day.slice(n, 7) for n in range(0, 100, 7)])
    assert encode(chunks) == encode(day)


def test_other_rows_give_another_object(day: pa.Table) -> None:
    assert encode(day.slice(1))[1].object != encode(day)[1].object


def test_a_big_day_has_four_row_groups_a_page_and_its_whole_range(events: Any) -> None:
    minute = 60 * 10**9
    batches = [
        events.bars(0, tuple(f"S{n:04}" for n in range(1000)), ts=events.start + m * minute)
        for m in range(140)
    ]
    data, manifest = encode(event_rows("bars", batches))
    assert pq.ParquetFile(BytesIO(data)).num_row_groups == 9
    assert (manifest.first, manifest.last) == (events.start, events.start + 139 * minute)
    assert fault(BARS, manifest, data) == ""


def test_no_rows_are_no_day() -> None:
    with pytest.raises(InvariantError, match="bars 2020-01-01"):
        DayWriter(BARS, "2020-01-01").finish("f")


@pytest.mark.parametrize("place", [0, 4, 100, 1000, -10, -1])
def test_one_flipped_bit_is_found(day: pa.Table, place: int) -> None:
    data, manifest = encode(day)
    broken = bytearray(data)
    broken[place] ^= 1
    assert fault(BARS, manifest, bytes(broken)).startswith("sha256")


def test_a_short_and_a_missing_object_are_found(day: pa.Table) -> None:
    data, manifest = encode(day)
    assert "bytes" in fault(BARS, manifest, data[:-1])
    assert fault(BARS, manifest, None) == "missing"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rows": 99}, "rows, first, last"),
        ({"first": 0}, "rows, first, last"),
        ({"last": 0}, "rows, first, last"),
        ({"columns": [("symbol", "string")]}, "columns"),
    ],
)
def test_a_manifest_that_says_otherwise_is_found(day: pa.Table, changes: dict[str, Any], text: str) -> None:
    data, manifest = encode(day)
    assert text in fault(BARS, msgspec.structs.replace(manifest, **changes), data)


def test_what_is_no_parquet_is_found(day: pa.Table) -> None:
    _, manifest = encode(day)
    data = b"PAR1 nothing"
    other = msgspec.structs.replace(manifest, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    assert "not Parquet" in fault(BARS, other, data)


def test_an_object_of_another_table_is_found(day: pa.Table, events: Any) -> None:
    data, manifest = encode(event_rows("signals", [events.signal()]), SIGNALS)
    assert fault(SIGNALS, msgspec.structs.replace(manifest, columns=encode(day)[1].columns), data).startswith(
        "columns"
    )


def test_a_manifest_travels_as_json(day: pa.Table) -> None:
    _, manifest = encode(day)
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest) == manifest
