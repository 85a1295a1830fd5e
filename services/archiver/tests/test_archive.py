"""The archive on the real database and a real folder."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from heliograph.archiver.archive.archive import Archive
from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.archive.parquet import PAGE_ROWS
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.rows import event_rows
from heliograph.archiver.schema import BARS, EVENT_TABLES
from heliograph.common.errors import UnavailableError

DAYS = 30


@pytest.fixture
async def loaded(db: ClickHouse, events: Any) -> ClickHouse:
    """A month of bars with a few signals."""
    await db.insert("bars", event_rows("bars", [events.bars(day) for day in range(DAYS)]))
    await db.insert("signals", event_rows("signals", [events.signal(3), events.signal(3, "BRK.B")]))
    await db.insert("reasons", event_rows("reasons", [events.reason(3)]))
    await db.insert("outcomes", event_rows("outcomes", [events.outcome(3)]))
    await db.insert("votes", event_rows("votes", [events.votes(3)]))
    return db


@pytest.fixture
def make_archive(loaded: ClickHouse, folder: FolderStore) -> Iterator[Callable[..., Archive]]:
    """An archive as a process that has just started has it."""
    made: list[Archive] = []

    def make(store: Any = folder) -> Archive:
        made.append(Archive(loaded, store))
        return made[-1]

    yield make
    for archive in made:
        archive.close()


def files(folder: FolderStore) -> dict[str, bytes]:
    return {key: folder.get(key) or b"" for key in folder.list("")}


async def test_every_day_of_every_table_is_one_object_with_a_manifest(
    make_archive: Callable[..., Archive], folder: FolderStore
) -> None:
    summary = await make_archive().run(complete_only=False)
    keys = folder.list("")
    assert len(keys) == 2 * (DAYS + 4)
    assert (summary.objects, summary.rows, summary.days, summary.written) == (34, 66, DAYS, 34)
    assert summary.bytes == sum(len(folder.get(k) or b"") for k in keys if k.endswith(".parquet"))
    manifest = json.loads(folder.get("signals/date=2020-01-05/_manifest.json") or b"")
    assert (manifest["rows"], manifest["schema"], manifest["day"]) == (2, "signals@1", "2020-01-05")
    assert manifest["object"] in keys


async def test_the_objects_read_together_equal_the_tables(
    make_archive: Callable[..., Archive], loaded: ClickHouse, tmp_path: Path
) -> None:
    await make_archive().run(complete_only=False)
    for table in EVENT_TABLES:
        dataset = ds.dataset(tmp_path / "archive" / table.name, format="parquet", partitioning="hive")
        order = [(name, "ascending") for name in table.key]
        archived = dataset.to_table().select(table.columns.names).sort_by(order)
        rows = await loaded.arrow(
            f"SELECT * EXCEPT inserted FROM {table.name} FINAL ORDER BY {', '.join(table.key)}"  # noqa: S608
        )
        assert archived.equals(rows.cast(table.columns))


async def test_archived_twice_gives_one_day(
    make_archive: Callable[..., Archive], folder: FolderStore
) -> None:
    archive = make_archive()
    first = await archive.run(complete_only=False)
    before = files(folder)
    again = await archive.run(complete_only=False)
    restarted = await make_archive().run(complete_only=False)
    assert (again.written, restarted.written) == (0, 0)
    assert (restarted.objects, restarted.rows, restarted.bytes) == (first.objects, first.rows, first.bytes)
    assert files(folder) == before


async def test_rows_that_came_twice_change_nothing(
    make_archive: Callable[..., Archive], loaded: ClickHouse, folder: FolderStore, events: Any
) -> None:
    archive = make_archive()
    await archive.run(complete_only=False)
    before = files(folder)
    await loaded.insert("bars", event_rows("bars", [events.bars(day) for day in range(DAYS)]))
    assert (await archive.run(complete_only=False)).written == 0
    assert files(folder) == before


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_day_that_grew_is_replaced_whole(
    make_archive: Callable[..., Archive],
    loaded: ClickHouse,
    folder: FolderStore,
    events: Any,
    restarted: bool,  # noqa: FBT001 - a case
) -> None:
    archive = make_archive()
    await archive.run(complete_only=False)
    before = files(folder)
    await loaded.insert("bars", event_rows("bars", [events.bars(4, ("LATE",))]))
    summary = await (make_archive() if restarted else archive).run(complete_only=False)
    assert (summary.written, summary.objects) == (1, 34)
    after = files(folder)
    changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
    assert len(changed) == 3, "the old object, the new one, the manifest"
    assert all(k.startswith("bars/date=2020-01-05/") for k in changed)
    assert len(after) == len(before)


async def test_the_day_of_the_newest_bar_waits_until_it_is_complete(
    make_archive: Callable[..., Archive], loaded: ClickHouse, folder: FolderStore, events: Any
) -> None:
    archive = make_archive()
    assert (await archive.run(complete_only=True)).objects == 33
    assert not folder.list("bars/date=2020-01-30/")
    await loaded.insert("bars", event_rows("bars", [events.bars(DAYS)]))
    assert (await archive.run(complete_only=True)).objects == 34
    assert folder.list("bars/date=2020-01-30/")


async def test_nothing_is_archived_of_an_empty_store(db: ClickHouse, folder: FolderStore) -> None:
    archive = Archive(db, folder)
    assert (await archive.run(complete_only=True)).objects == 0
    assert (await archive.run(complete_only=False)).objects == 0
    assert folder.list("") == []
    archive.close()


async def test_a_corrupted_a_missing_and_an_unreadable_part_are_found(
    make_archive: Callable[..., Archive], folder: FolderStore, tmp_path: Path
) -> None:
    archive = make_archive()
    await archive.run(complete_only=False)
    assert (await archive.holdings.verify()).wrong == {}
    parts = [k for k in folder.list("bars/") if k.endswith(".parquet")]
    broken = bytearray(folder.get(parts[0]) or b"")
    broken[len(broken) // 2] ^= 0xFF
    (tmp_path / "archive" / parts[0]).write_bytes(broken)
    folder.delete(parts[1])
    (tmp_path / "archive/signals/date=2020-01-05/_manifest.json").write_text("{")
    wrong = (await archive.holdings.verify()).wrong
    assert set(wrong) == {parts[0], parts[1], "signals/date=2020-01-05/_manifest.json"}
    assert wrong[parts[0]].startswith("sha256")
    assert wrong[parts[1]] == "missing"


async def test_an_unreadable_manifest_makes_its_day_again(
    make_archive: Callable[..., Archive], tmp_path: Path
) -> None:
    await make_archive().run(complete_only=False)
    manifest = tmp_path / "archive/signals/date=2020-01-05/_manifest.json"
    before = manifest.read_bytes()
    manifest.write_text("{")
    assert (await make_archive().run(complete_only=False)).written == 1
    assert manifest.read_bytes() == before


async def test_a_start_lists_what_is_there_instead_of_looking_for_each_day(
    make_archive: Callable[..., Archive], tmp_path: Path
) -> None:
    asked: list[str] = []

    class Counting(FolderStore):
        def get(self, key: str) -> bytes | None:
            asked.append(key)
            return super().get(key)

    store = Counting(tmp_path / "counted")
    await make_archive(store).run(complete_only=False)
    assert not [key for key in asked if key.startswith("bars/") and key.endswith("_manifest.json")]
    asked.clear()
    assert (await make_archive(store).run(complete_only=False)).written == 0
    assert len([key for key in asked if key.startswith("bars/")]) == DAYS


class Spoiling(FolderStore):
    """A folder on a bad disk: the first objects come back other than they were written."""

    def __init__(self, root: Path, spoil: int) -> None:
        super().__init__(root)
        self.spoil = spoil

    def put(self, key: str, data: bytes) -> None:
        if key.endswith(".parquet") and self.spoil:
            self.spoil -= 1
            data = data[:-1] + b"!"
        super().put(key, data)


async def test_an_object_that_comes_back_otherwise_gets_no_manifest_and_is_made_again(
    make_archive: Callable[..., Archive], tmp_path: Path
) -> None:
    store = Spoiling(tmp_path / "bad", 1)
    archive = make_archive(store)
    with pytest.raises(UnavailableError, match="read back: sha256"):
        await archive.run(complete_only=False)
    assert len([k for k in store.list("bars/") if k.endswith("_manifest.json")]) == DAYS - 1
    await archive.run(complete_only=False)
    assert (await archive.holdings.verify()).wrong == {}
    assert len(store.list("")) == 2 * 34


async def test_what_a_process_left_that_died_before_its_manifest_goes_away(
    make_archive: Callable[..., Archive], folder: FolderStore
) -> None:
    await make_archive().run(complete_only=False)
    before = folder.list("")
    folder.put("bars/date=2020-01-05/part-000000000000.parquet", b"half a day")
    folder.put("bars/date=1999-01-01/part-000000000000.parquet", b"a day that this database does not know")
    await make_archive().run(complete_only=False)
    assert sorted([*before, "bars/date=1999-01-01/part-000000000000.parquet"]) == folder.list("")


async def test_a_day_bigger_than_a_page_is_one_object(
    db: ClickHouse, folder: FolderStore, events: Any
) -> None:
    count = 2 * PAGE_ROWS + 17
    numbers = np.arange(count)
    ts = events.start + (numbers // 1000) * 60 * 10**9
    columns = {name: np.full(count, 1.5) for name in ("open", "high", "low", "close", "volume", "split")}
    rows = pa.table(
        {
            "symbol": [f"S{n % 1000:04}" for n in numbers.tolist()],
            "interval": ["1m"] * count,
            "ts": ts,
            **columns,
            "source": ["test"] * count,
            "received": ts,
        }
    ).select(BARS.columns.names)
    await db.insert("bars", rows.cast(BARS.columns))
    archive = Archive(db, folder)
    summary = await archive.run(complete_only=False)
    assert (summary.objects, summary.rows) == (1, count)
    [part] = [k for k in folder.list("bars/") if k.endswith(".parquet")]
    table = pq.read_table(pa.BufferReader(folder.get(part) or b""))
    assert table.equals(rows.cast(BARS.columns).sort_by([(name, "ascending") for name in BARS.key]))
    assert (await archive.holdings.verify()).wrong == {}
    archive.close()
