"""The archiver killed while it writes, or robbed of its database: nothing is missing, nothing there twice."""

import asyncio
import hashlib
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from heliograph.common import subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.config import Settings
from heliograph.common.errors import UnavailableError
from heliograph.common.events import BarBatch, encode

SHARDS = 4
DAYS = 400
SYMBOLS = 6
KILLS = 6
OUTAGES = 3
OUTAGE_S = 6.0
"""Six times what the stream waits for an acknowledgement below: six minutes as it is usually."""
IMPATIENT = """
from heliograph.common import pull, worker
pull.ACK_WAIT_S = worker.ACK_WAIT_S = 1.0
from heliograph.archiver.__main__ import main
main()
"""
DAY_NS = 86_400 * 10**9
START_NS = 18_262 * DAY_NS
Start = Callable[..., Awaitable[asyncio.subprocess.Process]]
Eventually = Callable[..., Awaitable[Any]]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
async def start(nats_settings: Settings, bus: Bus) -> AsyncIterator[Start]:
    """Start an archiver process on a folder."""
    assert bus.client.is_connected
    started: list[asyncio.subprocess.Process] = []

    async def make(folder: Path, code: str = "", **changes: str) -> asyncio.subprocess.Process:
        environment = {
            **os.environ,
            "NATS_URL": nats_settings.nats_url,
            "CLICKHOUSE_URL": f"chdb://{folder}/clickhouse",
            "ARCHIVE_URL": f"file://{folder}/archive",
            "HELIOGRAPH_SHARDS": str(SHARDS),
            "HELIOGRAPH_MEMBER": "archiver-1",
            "HELIOGRAPH_HEARTBEAT_S": "0.1",
            "HELIOGRAPH_MEMBER_TTL_S": "1",
            "HELIOGRAPH_ARCHIVE_PERIOD_S": "0.1",
            "HELIOGRAPH_BATCH_MESSAGES": "16",
            **changes,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(("-c", code) if code else ("-m", "heliograph.archiver")),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield make
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def bars(day: int, shard: int) -> BarBatch:
    """The daily bars of a shard's symbols."""
    prices = [100.0 + day + number for number in range(SYMBOLS)]
    return BarBatch(
        id=f"{day:08x}{shard:08x}",
        ts=START_NS + day * DAY_NS,
        interval="1d",
        source="test",
        symbols=[f"S{shard}{number}" for number in range(SYMBOLS)],
        open=prices,
        high=prices,
        low=prices,
        close=prices,
        volume=prices,
    )


async def publish(bus: Bus, days: range) -> None:
    for shard in range(SHARDS):
        made = [bars(day, shard) for day in days]
        await bus.publish([Message(subject=subjects.bars(shard), data=encode(b), msg_id=b.id) for b in made])


def stored(bus: Bus, rows: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        try:
            return bool((await bus.request("query.archiver.counts", {}, 2))["bars"] == rows)
        except UnavailableError:
            return False

    return check


def hash_of(folder: Path) -> str:
    """A hash over all rows of the archived bars, in the order of their key; each must be there once."""
    rows: pa.Table = ds.dataset(folder / "archive" / "bars", format="parquet", partitioning="hive").to_table()
    assert rows.num_rows == DAYS * SHARDS * SYMBOLS
    ordered = rows.sort_by([(name, "ascending") for name in ("symbol", "interval", "ts")])
    digest = hashlib.sha256()
    for name in ("symbol", "ts", "open", "high", "low", "close", "volume"):
        digest.update(repr(ordered[name].to_pylist()).encode())
    return digest.hexdigest()


def expected_hash() -> str:
    """The same hash, of what was published."""
    everything = sorted(
        (symbol, batch.ts, price)
        for batch in (bars(day, shard) for day in range(DAYS) for shard in range(SHARDS))
        for symbol, price in zip(batch.symbols, batch.close, strict=True)
    )
    times = pa.array([ts for _, ts, _ in everything], pa.timestamp("ns", "UTC")).to_pylist()
    prices = [price for _, _, price in everything]
    digest = hashlib.sha256()
    for column in ([symbol for symbol, _, _ in everything], times, *[prices] * 5):
        digest.update(repr(column).encode())
    return digest.hexdigest()


async def test_a_database_that_is_gone_for_minutes_ends_as_if_it_had_been_there(
    bus: Bus, start: Start, eventually: Eventually, clickhouse_server: Any, tmp_path: Path
) -> None:
    process = await start(tmp_path, IMPATIENT, CLICKHOUSE_URL=f"{clickhouse_server.url}/outages")
    await eventually(stored(bus, 0), timeout=60)
    for part in range(OUTAGES + 1):
        await publish(bus, range(part * DAYS // (OUTAGES + 1), (part + 1) * DAYS // (OUTAGES + 1)))
        if part == OUTAGES:
            break
        clickhouse_server.kill()
        # A length and not a condition: that nothing ends meanwhile is the point.
        await asyncio.sleep(OUTAGE_S)
        with pytest.raises(UnavailableError):
            await bus.request("query.archiver.counts", {}, 10)
        clickhouse_server.start()
    await eventually(stored(bus, DAYS * SHARDS * SYMBOLS), timeout=120)
    assert process.returncode is None, "it waited, and did not end"
    summary = await bus.request("query.archiver.archive", {}, timeout=60)
    assert (summary["objects"], summary["rows"]) == (DAYS, DAYS * SHARDS * SYMBOLS)
    assert hash_of(tmp_path) == expected_hash()
    assert await bus.last_seq("DEAD") == 0, "an outage is no fault of the messages"


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_while_it_inserts_and_archives(
    bus: Bus, start: Start, eventually: Eventually, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a repeatable order of kills
    process = await start(tmp_path)
    for part in range(KILLS):
        await publish(bus, range(part * DAYS // KILLS, (part + 1) * DAYS // KILLS))
        # A delay and not a condition: the kill must come at any point.
        await asyncio.sleep(chance.uniform(0.5, 4.0))
        process.kill()
        await process.wait()
        process = await start(tmp_path)
    await eventually(stored(bus, DAYS * SHARDS * SYMBOLS), timeout=120)
    summary = await bus.request("query.archiver.archive", {}, timeout=60)
    assert (summary["objects"], summary["rows"]) == (DAYS, DAYS * SHARDS * SYMBOLS)
    assert (await bus.request("query.archiver.verify", {}, timeout=60)) == {"checked": DAYS, "wrong": {}}
    assert hash_of(tmp_path) == expected_hash()
    left = [path for path in (tmp_path / "archive").rglob("*") if path.is_file()]
    assert len(left) == 2 * DAYS, "an object and a manifest a day, no orphan"


async def test_the_database_lost_for_good_comes_back_whole(
    bus: Bus, start: Start, eventually: Eventually, tmp_path: Path
) -> None:
    process = await start(tmp_path)
    await publish(bus, range(DAYS))
    await eventually(stored(bus, DAYS * SHARDS * SYMBOLS), timeout=120)
    await bus.request("query.archiver.archive", {"complete_only": True}, timeout=60)
    process.kill()
    await process.wait()
    (tmp_path / "clickhouse").rename(tmp_path / "lost")
    await start(tmp_path)
    await eventually(stored(bus, 0), timeout=60)
    rebuilt = await bus.request("query.archiver.rebuild", {}, timeout=120)
    assert rebuilt["after"]["bars"] == DAYS * SHARDS * SYMBOLS
    assert rebuilt["archived"]["bars"] == (DAYS - 1) * SHARDS * SYMBOLS
    await bus.request("query.archiver.archive", {}, timeout=60)
    assert hash_of(tmp_path) == expected_hash()
