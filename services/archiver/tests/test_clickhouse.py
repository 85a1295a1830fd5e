"""The real embedded engine: what is inserted twice counts once, and nobody's death breaks the store."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from heliograph.archiver import counting
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.rows import event_rows
from heliograph.archiver.schema import TABLES, Table
from heliograph.archiver.writer import GroupCommit
from heliograph.common.errors import ConfigError, PoisonError, UnavailableError

Eventually = Callable[..., Awaitable[Any]]
Opener = Callable[[], Awaitable[ClickHouse]]

HOLDER = """
import asyncio, sys
from heliograph.archiver.clickhouse import ClickHouse

async def main():
    db = ClickHouse(sys.argv[1])
    await db.open()
    print("open", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
INSERTER = """
import asyncio, sys
import pyarrow as pa
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.schema import BARS

def rows(first):
    n = 5000
    times = [1_577_836_800_000_000_000 + (first + i) * 60_000_000_000 for i in range(n)]
    texts = {"symbol": ["AAPL"] * n, "interval": ["1m"] * n, "source": ["test"] * n}
    values = {**texts, "ts": times, "received": times}
    prices = {name: [1.0] * n for name in ("open", "high", "low", "close", "volume", "split")}
    return pa.table(values | prices).select(BARS.columns.names).cast(BARS.columns)

async def main():
    db = ClickHouse(sys.argv[1])
    await db.open()
    for batch in range(10_000):
        await db.insert("bars", rows(batch * 5000))
        print(batch + 1, flush=True)

asyncio.run(main())
"""


@pytest.fixture
async def child() -> AsyncIterator[Callable[..., Awaitable[asyncio.subprocess.Process]]]:
    """Start a Python process that says a line when it is ready; it is killed in the end."""
    started: list[asyncio.subprocess.Process] = []

    async def start(code: str, *args: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, *args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: asyncio.subprocess.Process) -> str:
    """Its next line that is not the log's."""
    assert process.stdout is not None
    while text := (await process.stdout.readline()).decode():
        if text.strip() == "open" or text.strip().isdigit():
            return text.strip()
    raise AssertionError("the process ended")


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
async def test_the_table_has_the_columns_of_its_rows_in_a_fit_type(db: ClickHouse, table: Table) -> None:
    names = [row[0] for row in await db.rows(f"DESCRIBE TABLE {table.name}")]
    assert names == [*table.columns.names, "inserted"]
    empty = await db.arrow(f"SELECT * EXCEPT inserted FROM {table.name}")  # noqa: S608 - our own name
    assert empty.cast(table.columns).schema.equals(table.columns)
    [(key, partition)] = await db.rows(
        "SELECT sorting_key, partition_key FROM system.tables "
        "WHERE name = {name:String} AND engine = 'ReplacingMergeTree'",
        {"name": table.name},
    )
    assert key == ", ".join(table.key)
    assert partition == f"toYYYYMM({table.time})"


async def test_the_same_events_twice_count_once_and_come_back_whole(db: ClickHouse, events: Any) -> None:
    made = {
        "bars": [events.bars(day) for day in range(40)],
        "signals": [events.signal(day) for day in range(3)],
        "reasons": [events.reason(day) for day in range(3)],
        "outcomes": [events.outcome(day) for day in range(2)],
    }
    for source, batch in made.items():
        for _ in range(2):
            await db.insert(source, event_rows(source, batch))
    assert await counting.counts(db) == {
        "bars": 80,
        "signals": 3,
        "reasons": 3,
        "outcomes": 2,
        "votes": 0,
        "spans": 0,
    }
    for table in TABLES[:4]:
        sent = event_rows(table.name, made[table.name]).sort_by([(name, "ascending") for name in table.key])
        order = ", ".join(table.key)
        found = await db.arrow(f"SELECT * EXCEPT inserted FROM {table.name} FINAL ORDER BY {order}")  # noqa: S608
        assert found.cast(table.columns).equals(sent)


async def test_rows_are_in_the_table_when_the_insert_returns_even_for_years_of_months(
    db: ClickHouse, events: Any
) -> None:
    months = [events.bars(31 * n, ("AAPL",)) for n in range(200)]
    await db.insert("bars", event_rows("bars", months))
    assert (await counting.counts(db))["bars"] == 200


async def test_the_store_is_there_after_closing_and_opening(open_clickhouse: Opener, events: Any) -> None:
    first = await open_clickhouse()
    await first.insert("bars", event_rows("bars", [events.bars()]))
    await first.close()
    assert await first.check() == "closed"
    with pytest.raises(UnavailableError):
        await first.rows("SELECT 1")
    second = await open_clickhouse()
    assert (await counting.counts(second))["bars"] == 2
    assert second.version.startswith("26.")


async def test_poison_is_isolated_by_the_real_database(db: ClickHouse, events: Any) -> None:
    await db.rows("ALTER TABLE signals ADD CONSTRAINT sane CHECK entry < 1000")
    writer = GroupCommit(db.insert, rows=1000, seconds=0.05)
    batches = [event_rows("signals", [events.signal(n, entry=100.0)]) for n in range(7)]
    bad = event_rows("signals", [events.signal(9, entry=2000.0, target=3000.0)])
    results = await asyncio.gather(
        *(writer.write("signals", rows) for rows in [*batches[:3], bad, *batches[3:]]), return_exceptions=True
    )
    assert [type(r) for r in results] == [type(None)] * 3 + [PoisonError] + [type(None)] * 4
    assert (await counting.counts(db))["signals"] == 7
    assert await db.check() == ""


async def test_a_missing_table_is_no_fault_of_the_rows(db: ClickHouse, events: Any) -> None:
    await db.rows("DROP TABLE outcomes")
    with pytest.raises(UnavailableError, match="outcomes"):
        await db.insert("outcomes", event_rows("outcomes", [events.outcome()]))
    assert "outcomes" in db.problem
    await db.rows("SELECT 1")
    assert db.problem == ""


async def test_a_server_that_is_away_is_waited_for() -> None:
    db = ClickHouse("http://user:secret@127.0.0.1:9/db")
    opening = asyncio.create_task(db.open())
    async with asyncio.timeout(30):
        while "not yet" in db.problem:
            await asyncio.sleep(0.02)
    assert "clickhouse" in await db.check()
    assert "secret" not in db.problem
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await db.close()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    db = ClickHouse(f"chdb://{tmp_path}/file/clickhouse")
    with pytest.raises(ConfigError, match="clickhouse_url"):
        await db.open()
    await db.close()


async def test_a_standby_waits_and_takes_over_when_the_holder_is_killed(
    tmp_path: Path, child: Any, eventually: Eventually
) -> None:
    url = f"chdb://{tmp_path}/clickhouse"
    holder = await child(HOLDER, url)
    assert await line(holder) == "open"
    standby = ClickHouse(url)
    opening = asyncio.create_task(standby.open())

    async def waits() -> bool:
        return standby.problem.startswith("standby")

    await eventually(waits)
    assert (await standby.check()).startswith("standby")
    await asyncio.sleep(0.5)
    assert not opening.done()
    os.kill(holder.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        await opening
    assert await counting.counts(standby) == {t.name: 0 for t in TABLES}
    await standby.close()


async def test_kill_in_mid_insert_leaves_a_store_with_all_that_was_confirmed(
    tmp_path: Path, child: Any, open_clickhouse: Opener
) -> None:
    inserter = await child(INSERTER, f"chdb://{tmp_path}/clickhouse")
    confirmed = 0
    while confirmed < 8:
        confirmed = int(await line(inserter))
    os.kill(inserter.pid, signal.SIGKILL)
    rest, _ = await inserter.communicate()
    confirmed = max([confirmed, *(int(t) for t in rest.decode().split() if t.isdigit())])
    db = await open_clickhouse()
    count = (await counting.counts(db))["bars"]
    assert count >= confirmed * 5000
    assert count <= (confirmed + 1) * 5000
    table = await db.arrow("SELECT close FROM bars FINAL")
    assert pa.compute.sum(table["close"]).as_py() == count


async def test_a_table_of_an_earlier_version_gets_its_new_columns(open_clickhouse: Any, events: Any) -> None:
    db = await open_clickhouse()
    await db.insert("bars", event_rows("bars", [events.bars(0, ("OLD",))]))
    await db.rows("ALTER TABLE bars DROP COLUMN split")
    await db.close()
    again = await open_clickhouse()
    await again.insert("bars", event_rows("bars", [events.bars(1, ("NEW",), splits={"NEW": 2.0})]))
    assert await again.rows("SELECT symbol, split FROM bars ORDER BY symbol") == [("NEW", 2.0), ("OLD", 1.0)]
