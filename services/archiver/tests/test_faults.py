"""Stores that fail for a while: the archive of the disturbed run is that of the undisturbed one."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from heliograph.archiver.archive.archive import Archive
from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.archive.object_store import ObjectStore
from heliograph.archiver.archive.s3_store import S3Store
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.rows import event_rows
from heliograph.archiver.writer import GroupCommit
from heliograph.common.errors import UnavailableError

from .test_stores import failing

DAYS = 12


def content(store: ObjectStore) -> dict[str, bytes]:
    return {key: store.get(key) or b"" for key in store.list("")}


async def until_done(archive: Archive) -> int:
    """Run again as the service does, until a run succeeds; how many failed before."""
    for failures in range(200):
        try:
            await archive.run(complete_only=False)
            return failures
        except UnavailableError:
            continue
    raise AssertionError("200 runs failed")


class HalfThere(FolderStore):
    """A folder of which half of all calls fail, some of them after they have done their work."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.chance = random.Random(3)  # noqa: S311 - the same failures each time
        self.failed = 0

    def _fail(self) -> None:
        if self.chance.random() < 0.25:
            self.failed += 1
            raise UnavailableError("half there")

    def put(self, key: str, data: bytes) -> None:
        self._fail()
        super().put(key, data)
        self._fail()

    def get(self, key: str) -> bytes | None:
        self._fail()
        return super().get(key)

    def delete(self, key: str) -> None:
        self._fail()
        super().delete(key)
        self._fail()


@pytest.fixture
async def loaded(db: ClickHouse, events: Any) -> ClickHouse:
    await db.insert("bars", event_rows("bars", [events.bars(day) for day in range(DAYS)]))
    await db.insert("signals", event_rows("signals", [events.signal(day) for day in range(DAYS)]))
    return db


async def test_a_store_that_fails_half_of_the_time_ends_as_one_that_does_not(
    loaded: ClickHouse, folder: FolderStore, tmp_path: Path, events: Any
) -> None:
    whole, half = Archive(loaded, folder), Archive(loaded, store := HalfThere(tmp_path / "half"))
    for late in ((), ("LATE",)):
        if late:
            await loaded.insert("bars", event_rows("bars", [events.bars(4, late), events.bars(9, late)]))
        await whole.run(complete_only=False)
        assert await until_done(half) > 0
    assert store.failed > 10
    restarted = Archive(loaded, FolderStore(tmp_path / "half"))
    await restarted.run(complete_only=False)
    assert content(FolderStore(tmp_path / "half")) == content(folder)
    for archive in (whole, half, restarted):
        archive.close()


async def test_s3_that_fails_half_of_its_calls_ends_as_the_folder(
    loaded: ClickHouse,
    folder: FolderStore,
    s3_endpoint: str,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    store = S3Store(bucket, endpoint_url=s3_endpoint)
    failed = failing(store, share=0.5)
    whole, s3 = Archive(loaded, folder), Archive(loaded, store)
    await whole.run(complete_only=False)
    await until_done(s3)
    assert len(failed) > 40
    assert content(S3Store(bucket, endpoint_url=s3_endpoint)) == content(folder)
    whole.close()
    s3.close()


async def test_rows_wait_while_the_database_is_away_and_come_once(db: ClickHouse, events: Any) -> None:
    away = True
    tried = 0

    async def insert(table: str, rows: pa.Table) -> None:
        nonlocal tried
        tried += 1
        if away or tried % 2:
            # It may have taken the rows before it failed.
            if tried % 3 == 0:
                await db.insert(table, rows)
            raise UnavailableError("clickhouse: away")
        await db.insert(table, rows)

    writer = GroupCommit(insert, rows=1000, seconds=0.01)

    async def shard(number: int) -> None:
        """As a worker: the same rows again until they are in."""
        rows = event_rows("bars", [events.bars(day, (f"S{number}",)) for day in range(DAYS)])
        while True:
            try:
                return await writer.write("bars", rows, more=True)
            except UnavailableError:
                await asyncio.sleep(0.01)

    shards = [asyncio.create_task(shard(number)) for number in range(8)]
    while tried < 20:
        await asyncio.sleep(0.01)
    assert not any(task.done() for task in shards)
    away = False
    await asyncio.gather(*shards)
    [(rows, symbols)] = await db.rows("SELECT count(), uniqExact(symbol) FROM bars FINAL")
    assert (rows, symbols) == (8 * DAYS, 8)
