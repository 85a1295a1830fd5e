"""ClickHouse made again from the archive and the real streams."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from heliograph.archiver import dashboard
from heliograph.archiver.archive import restore
from heliograph.archiver.archive.archive import Archive
from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.rebuild import rebuild
from heliograph.archiver.requests import Request
from heliograph.archiver.rows import event_rows
from heliograph.archiver.schema import BARS, EVENT_TABLES
from heliograph.common import subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.errors import InputError
from heliograph.common.events import encode

OLD = 10
NEW = 6


@pytest.fixture
def archive(db: ClickHouse, folder: FolderStore) -> Iterator[Archive]:
    made = Archive(db, folder)
    yield made
    made.close()


@pytest.fixture
async def filled(db: ClickHouse, archive: Archive, bus: Bus, events: Any) -> dict[str, pa.Table]:
    """Ten days that are archived alone, then six that are in the streams alone; the rows of each table."""
    await db.insert("bars", event_rows("bars", [events.bars(day) for day in range(OLD)]))
    await db.insert("signals", event_rows("signals", [events.signal(day) for day in range(OLD)]))
    await db.insert("outcomes", event_rows("outcomes", [events.outcome(day) for day in range(OLD)]))
    await archive.run(complete_only=False)
    for day in range(OLD, OLD + NEW):
        for subject, name, event in (
            (subjects.bars(day % 4), "bars", events.bars(day)),
            (subjects.signal(1, "BRK.B"), "signals", events.signal(day, "BRK.B")),
            (subjects.reason(1, "BRK.B"), "reasons", events.reason(day, "BRK.B")),
            (f"input.votes.{day % 4}", "votes", events.votes(day)),
        ):
            await bus.publish([Message(subject=subject, data=encode(event), msg_id=event.id)])
            await db.insert(name, event_rows(name, [event]))
    return await everything(db)


async def everything(db: ClickHouse) -> dict[str, pa.Table]:
    return {
        table.name: (
            await db.arrow(
                f"SELECT * EXCEPT inserted FROM {table.name} FINAL ORDER BY {', '.join(table.key)}"  # noqa: S608
            )
        ).cast(table.columns)
        for table in EVENT_TABLES
    }


async def answers(db: ClickHouse) -> list[Any]:
    return [await dashboard.ask(db, question, Request({"days": 1000})) for question in dashboard.QUESTIONS]


async def test_what_was_lost_comes_back_from_the_archive_and_the_streams(
    bus: Bus, db: ClickHouse, archive: Archive, filled: dict[str, pa.Table]
) -> None:
    asked = await answers(db)
    for table in EVENT_TABLES:
        await db.rows(f"TRUNCATE TABLE {table.name}")
    found = await rebuild(bus, db, archive, reset=False)
    assert await everything(db) == filled
    assert await answers(db) == asked
    assert (found.before["bars"], found.after["bars"]) == (0, 2 * (OLD + NEW))
    assert (found.archived["bars"], found.streamed["bars"]) == (2 * OLD, 2 * NEW)
    assert found.streamed["votes"] == 2 * NEW


async def test_a_reset_archives_all_first_and_ends_as_it_began(
    bus: Bus, db: ClickHouse, archive: Archive, filled: dict[str, pa.Table]
) -> None:
    asked = await answers(db)
    found = await rebuild(bus, db, archive, reset=True)
    assert await everything(db) == filled
    assert await answers(db) == asked
    assert found.before == found.after
    assert found.archived["bars"] == 2 * (OLD + NEW), "the new days were archived before the tables went"


async def test_nothing_is_emptied_while_an_object_is_not_whole(
    bus: Bus, db: ClickHouse, archive: Archive, filled: dict[str, pa.Table], folder: FolderStore
) -> None:
    key = next(key for key in folder.list("bars/") if key.endswith(".parquet"))
    folder.put(key, (folder.get(key) or b"")[:-1])
    with pytest.raises(InputError, match=f"1 archived objects are not whole, nothing was emptied: {key}"):
        await rebuild(bus, db, archive, reset=True)
    assert await everything(db) == filled


async def test_what_is_there_is_not_restored_and_what_was_dropped_stays_away(
    bus: Bus,
    db: ClickHouse,
    archive: Archive,
    filled: dict[str, pa.Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(restore, "SETTLED_S", -5)
    await archive.holdings.drop([BARS], "2020-01-02", "2020-01-03")
    found = await rebuild(bus, db, archive, reset=False)
    assert set(found.archived.values()) == {0}
    assert found.after["bars"] == 2 * (OLD + NEW - 2)


async def test_messages_that_fit_no_table_are_counted_and_the_others_come(
    bus: Bus, db: ClickHouse, archive: Archive, events: Any
) -> None:
    good = [events.signal(day) for day in range(5)]
    bad = events.signal(7, input_seq=-1)
    for event in (*good, bad):
        await bus.publish([Message(subject=subjects.signal(1, "AAPL"), data=encode(event), msg_id=event.id)])
    await bus.publish([Message(subject=subjects.signal(1, "AAPL"), data=b"{", msg_id="broken")])
    found = await rebuild(bus, db, archive, reset=False)
    assert (found.unread, found.after["signals"]) == (2, 5)
