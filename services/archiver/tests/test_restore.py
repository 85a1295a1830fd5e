"""Days out of ClickHouse and back: nothing goes unproved, nothing comes back altered."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pyarrow as pa
import pytest

from heliograph.archiver import archive_requests
from heliograph.archiver.archive import restore
from heliograph.archiver.archive.archive import Archive
from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.archive.parquet import Format
from heliograph.archiver.archive_requests import ArchiveRequests
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.requests import Request
from heliograph.archiver.rows import event_rows
from heliograph.archiver.schema import BARS, EVENT_TABLES, SIGNALS, Table
from heliograph.common.errors import InputError
from heliograph.common.events import encode

DAYS = 12
DAY = "2020-01-05"
EVERY = ("0001-01-01", "9999-12-31")


@pytest.fixture
async def loaded(db: ClickHouse, events: Any) -> ClickHouse:
    """Some days of everything."""
    await db.insert("bars", event_rows("bars", [events.bars(day) for day in range(DAYS)]))
    await db.insert("signals", event_rows("signals", [events.signal(day) for day in range(3, 6)]))
    odd = events.reason(3, text='a "quoted", text\nwith a line feed; null, NaN, \\N, “ü”')
    await db.insert("reasons", event_rows("reasons", [odd, events.reason(4, text="")]))
    await db.insert("votes", event_rows("votes", [events.votes(day) for day in range(2)]))
    await db.insert("outcomes", event_rows("outcomes", [events.outcome(3)]))
    return db


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a test are seconds old: let them be dropped."""
    monkeypatch.setattr(restore, "SETTLED_S", -5)


@pytest.fixture
def make_archive(loaded: ClickHouse, folder: FolderStore) -> Iterator[Callable[..., Archive]]:
    made: list[Archive] = []

    def make(form: Format = "zstd") -> Archive:
        made.append(Archive(loaded, folder, form))
        return made[-1]

    yield make
    for archive in made:
        archive.close()


async def rows_of(db: ClickHouse, table: Table) -> pa.Table:
    found = await db.arrow(
        f"SELECT * EXCEPT inserted FROM {table.name} FINAL ORDER BY {', '.join(table.key)}"  # noqa: S608
    )
    return found.cast(table.columns)


@pytest.mark.parametrize("form", get_args(Format))
async def test_days_archived_dropped_and_restored_are_equal_row_for_row(
    make_archive: Callable[..., Archive], loaded: ClickHouse, settled: None, form: Format
) -> None:
    archive = make_archive(form)
    summary = await archive.run(complete_only=False)
    before = {table.name: await rows_of(loaded, table) for table in EVENT_TABLES}
    dropped = await archive.holdings.drop(EVENT_TABLES, *EVERY)
    assert (dropped.days, dropped.rows) == (summary.objects, summary.rows)
    assert all([(await rows_of(loaded, table)).num_rows == 0 for table in EVENT_TABLES])
    assert (await archive.holdings.verify()).wrong == {}
    restored = await make_archive(form).holdings.restore(EVENT_TABLES, *EVERY)
    assert restored == dropped
    for table in EVENT_TABLES:
        assert (await rows_of(loaded, table)).equals(before[table.name]), table.name
    assert (await make_archive(form).run(complete_only=False)).written == 0


async def test_restoring_what_is_there_changes_nothing(
    make_archive: Callable[..., Archive], loaded: ClickHouse
) -> None:
    archive = make_archive()
    await archive.run(complete_only=False)
    before = await rows_of(loaded, BARS)
    await archive.holdings.restore([BARS], DAY, DAY)
    assert (await rows_of(loaded, BARS)).equals(before)
    assert (await archive.run(complete_only=False)).written == 0


async def test_a_late_row_of_a_dropped_day_does_not_replace_the_others(
    make_archive: Callable[..., Archive], loaded: ClickHouse, events: Any, settled: None
) -> None:
    archive = make_archive()
    await archive.run(complete_only=False)
    await archive.holdings.drop([BARS], DAY, DAY)
    late = event_rows("bars", [events.bars(4, ("LATE",))])
    await loaded.insert("bars", late)
    assert (await make_archive().run(complete_only=False)).written == 1
    found = {m.day: m for _, m in await archive.holdings.manifests([BARS])}[DAY]
    assert (found.rows, found.dropped) == (3, False)
    assert (await rows_of(loaded, BARS)).num_rows == 2 * DAYS + 1


async def test_a_database_that_has_lost_rows_gets_them_back_before_it_is_archived(
    make_archive: Callable[..., Archive], loaded: ClickHouse, events: Any
) -> None:
    await make_archive().run(complete_only=False)
    before = await rows_of(loaded, BARS)
    await loaded.rows("TRUNCATE TABLE bars")
    await loaded.insert("bars", event_rows("bars", [events.bars(4, ("AAPL",))]))
    await make_archive().run(complete_only=False)
    found = {m.day: m.rows for _, m in await make_archive().holdings.manifests([BARS])}
    assert found[DAY] == 2
    day = await rows_of(loaded, BARS)
    assert day.equals(before.filter(pa.compute.equal(before["ts"], day["ts"][0])))


def truncate(data: bytes) -> bytes:
    return data[:-9]


def flip(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 1]) + data[41:]


@pytest.mark.parametrize("form", get_args(Format))
@pytest.mark.parametrize(
    ("spoil", "named"), [(truncate, r"bytes, expected"), (flip, "sha256"), (None, "missing")]
)
async def test_a_spoiled_object_is_refused_and_named_and_no_row_goes_in_or_out(
    make_archive: Callable[..., Archive],
    loaded: ClickHouse,
    folder: FolderStore,
    settled: None,
    form: Format,
    spoil: Callable[[bytes], bytes] | None,
    named: str,
) -> None:
    archive = make_archive(form)
    await archive.run(complete_only=False)
    [key] = [k for k in folder.list(f"bars/date={DAY}/") if "part-" in k]
    before = await rows_of(loaded, BARS)
    if spoil:
        folder.put(key, spoil(folder.get(key) or b""))
    else:
        folder.delete(key)
    for move in (archive.holdings.restore, archive.holdings.drop):
        with pytest.raises(InputError, match=f"{key}: .*{named}"):
            await move([BARS], DAY, DAY)
    assert (await rows_of(loaded, BARS)).equals(before)
    assert set((await archive.holdings.verify([BARS])).wrong) == {key}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"schema": "bars@9"}, "schema bars@9, expected bars@2"),
        ({"rows": 3}, "rows, first, last"),
        ({"columns": [("symbol", "string")]}, "expected bars@2"),
    ],
)
async def test_a_foreign_manifest_is_refused_and_named(
    make_archive: Callable[..., Archive], folder: FolderStore, changes: dict[str, Any], named: str
) -> None:
    archive = make_archive()
    await archive.run(complete_only=False)
    key = f"bars/date={DAY}/_manifest.json"
    manifest = msgspec.json.decode(folder.get(key) or b"")
    folder.put(key, msgspec.json.encode(manifest | changes))
    with pytest.raises(InputError, match=f"bars/date={DAY}/part-.*{named}"):
        await archive.holdings.restore([BARS], DAY, DAY)
    assert set((await archive.holdings.verify([BARS])).wrong) == {manifest["object"]}


async def test_a_day_that_is_not_archived_as_it_is_stays(
    make_archive: Callable[..., Archive], loaded: ClickHouse, events: Any, settled: None
) -> None:
    archive = make_archive()
    await archive.run(complete_only=False)
    await loaded.insert("bars", event_rows("bars", [events.bars(4, ("LATE",))]))
    with pytest.raises(InputError, match=f"drop: bars {DAY}: 3 rows in ClickHouse, expected the 2"):
        await archive.holdings.drop([BARS], DAY, DAY)
    assert (await rows_of(loaded, BARS)).num_rows == 2 * DAYS + 1


async def test_rows_that_have_just_come_keep_their_day(make_archive: Callable[..., Archive]) -> None:
    archive = make_archive()
    await archive.run(complete_only=False)
    with pytest.raises(InputError, match=r"drop: signals .*1 rows came within 60 s"):
        await archive.holdings.drop([SIGNALS], "2020-01-05", "2020-01-05")


async def test_days_that_were_never_archived_are_named(make_archive: Callable[..., Archive]) -> None:
    with pytest.raises(InputError, match="day: 1999-01-01 to 1999-01-02, expected"):
        await make_archive().holdings.restore(EVENT_TABLES, "1999-01-01", "1999-01-02")


async def test_another_format_makes_the_days_again_and_both_can_be_read(
    make_archive: Callable[..., Archive], folder: FolderStore, tmp_path: Path
) -> None:
    first = await make_archive().run(complete_only=False)
    second = await make_archive("csv").run(complete_only=False)
    assert (second.written, second.objects, second.rows) == (first.objects, first.objects, first.rows)
    assert not [key for key in folder.list("") if key.endswith(".parquet")]
    assert (await make_archive("csv").holdings.verify()).wrong == {}
    text = next((tmp_path / "archive" / "bars" / f"date={DAY}").glob("part-*.csv")).read_text()
    assert text.splitlines()[0].replace('"', "") == ",".join(BARS.columns.names)


async def test_the_events_of_a_day_come_page_by_page_and_as_they_came(
    make_archive: Callable[..., Archive],
    loaded: ClickHouse,
    folder: FolderStore,
    events: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same_day = [events.signal(3), events.signal(3, "BRK.B"), events.signal(3, "NVDA", votes=[])]
    await loaded.insert("signals", event_rows("signals", same_day))
    archive = make_archive()
    await archive.run(complete_only=False)
    requests = ArchiveRequests(archive, folder)
    monkeypatch.setattr(archive_requests, "EVENTS_BYTES", 1)
    found: list[bytes] = []
    following: int | None = 0
    while following is not None:
        page = await requests.events(Request({"table": "signals", "day": DAY, "first": following}))
        assert len(page["events"]) == 1
        found += map(bytes, page["events"])
        following = page["next"]
    assert found == [encode(signal) for signal in same_day]
    with pytest.raises(InputError, match=r"table: 'bars', expected one of signals, reasons, outcomes"):
        await requests.events(Request({"table": "bars", "day": DAY}))
    with pytest.raises(InputError, match="day: 2031-01-01"):
        await requests.events(Request({"table": "signals", "day": "2031-01-01"}))
