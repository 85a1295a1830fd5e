"""The fetcher as a process: its exit codes, and what a kill in the middle leaves behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliograph.common.bus import Bus
from heliograph.common.errors import UnavailableError
from heliograph.common.events import BarBatch

Folder = Callable[..., Path]
MakeBars = Callable[..., list[Any]]
Eventually = Callable[..., Awaitable[Any]]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(nats_server: Any) -> Iterator[Start]:
    """Start a fetcher with some environment; whatever still runs is killed after the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(**environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "heliograph.fetcher"],
            env={
                **os.environ,
                "NATS_URL": nats_server.url,
                "REDIS_URL": "",
                "HELIOGRAPH_SHARDS": "4",
                "HELIOGRAPH_HEARTBEAT_S": "0.1",
                "HELIOGRAPH_MEMBER_TTL_S": "0.5",
                "HELIOGRAPH_WINDOW_MESSAGES": "5",
                **environment,
            },
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"HELIOGRAPH_DATA": "/nowhere"}, "heliograph: data: '/nowhere' is not a folder"),
        ({}, "data: "),
    ],
    ids=["no folder", "nothing said"],
)
def test_what_a_start_cannot_mend_exits_with_2(start: Start, environment: dict[str, str], said: str) -> None:
    process = start(**environment)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said in errors.decode().splitlines()[-1]


async def test_killed_in_the_middle_and_started_again(
    bus: Bus, start: Start, folder: Folder, make_bars: MakeBars, eventually: Eventually
) -> None:
    rows = [r for n in range(8) for r in make_bars(f"S{n}", 400)]
    rows += [(*r[:6], -1.0) for r in make_bars("BAD", 3)]
    data = str(folder({"a.parquet": rows}))

    async def status() -> dict[str, Any]:
        try:
            answer = await bus.request("status.fetcher", {}, timeout=1)
        except UnavailableError:
            return {}
        found: dict[str, Any] = answer["status"]
        return found

    async def underway() -> bool:
        return await bus.last_seq("INPUT") >= 100

    async def done() -> bool:
        return bool((await status()).get("done"))

    first = start(HELIOGRAPH_DATA=data)
    await eventually(underway, 60)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start(HELIOGRAPH_DATA=data)
    await eventually(done, 60)
    told = await status()
    second.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(second.wait, 20) == 0
    found = [m async for m in bus.read("INPUT", "input.bars.*", after=0, upto=await bus.last_seq("INPUT"))]
    batches = [msgspec.json.decode(m.data, type=BarBatch) for m in found]
    published = Counter((s, b.ts) for b in batches for s in b.symbols)
    assert published == Counter(r[:2] for r in rows if r[0] != "BAD")
    assert told["bars_published"] == told["bars_total"] == 3200
    assert told["quarantined"] == {"bad_volume": 3}
    assert sum(shard["published"] for shard in told["shards"].values()) == 3200
    assert await bus.last_seq("DEAD") == 1
