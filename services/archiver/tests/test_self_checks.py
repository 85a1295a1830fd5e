"""What the archiver checks by itself, on a real archive."""

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from heliograph.archiver.archive.archive import Archive
from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.rows import event_rows
from heliograph.archiver.self_checks import OVERDUE_S, SelfChecks


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 0.0

    def now_ns(self) -> int:
        return int(self.time * 1e9)

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
async def archive(db: ClickHouse, folder: FolderStore, events: Any) -> Archive:
    await db.insert("bars", event_rows("bars", [events.bars(day) for day in range(6)]))
    made = Archive(db, folder)
    await made.run(complete_only=False)
    return made


@pytest.fixture(autouse=True)
def closed(archive: Archive) -> Iterator[None]:
    yield
    archive.close()


async def test_a_sample_finds_what_is_not_whole_until_it_is_whole_again(
    archive: Archive, folder: FolderStore
) -> None:
    checks = SelfChecks(archive.holdings, objects=3)
    await checks.sample()
    assert (checks.checked, checks.wrong, checks.problems(leading=True)) == (3, {}, {})
    keys = [key for key in folder.list("bars/") if key.endswith(".parquet")]
    whole = {key: folder.get(key) or b"" for key in keys}
    for key in keys:
        folder.put(key, whole[key][:-1])
    await checks.sample()
    assert len(checks.wrong) == 3
    assert "3 objects are not whole: bars/date=" in checks.problems(leading=False)["archive sample"]
    for key in keys:
        folder.put(key, whole[key])
    await checks.sample()
    assert (checks.checked, checks.wrong) == (9, {})


async def test_a_broken_object_stays_named_while_it_is_broken(archive: Archive, folder: FolderStore) -> None:
    checks = SelfChecks(archive.holdings, objects=6)
    key = next(key for key in folder.list("bars/") if key.endswith(".parquet"))
    folder.put(key, b"spoiled")
    await checks.sample()
    checks._objects = 1
    for _ in range(5):
        await checks.sample()
        assert set(checks.wrong) == {key}


async def test_an_archive_that_has_not_run_for_a_day_is_overdue(archive: Archive) -> None:
    watch = Watch()
    checks = SelfChecks(archive.holdings, objects=1, clock=watch)
    watch.time = OVERDUE_S
    assert checks.problems(leading=True) == {}
    watch.time += 3600
    assert checks.problems(leading=True) == {
        "archive age": "no run has succeeded for 25 h, expected one in 24 h"
    }
    assert checks.problems(leading=False) == {}
    leads = True
    checks.measure(lambda: leads)
    assert REGISTRY.get_sample_value("heliograph_archive_age_seconds") == OVERDUE_S + 3600
    leads = False
    assert REGISTRY.get_sample_value("heliograph_archive_age_seconds") == 0
    checks.ran()
    assert checks.problems(leading=True) == {}
    assert checks.age_s == 0
