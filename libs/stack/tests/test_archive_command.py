"""`heliograph archive` as a process, asked of a real archiver."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.common import subjects
from heliograph.common.bus import Message
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import UnavailableError
from heliograph.common.events import BarBatch, encode
from heliograph.common.shards import shard_of
from heliograph.stack.options import Options
from heliograph.stack.stack import Stack
from heliograph.stack.state import State

from .conftest import Eventually

HELIOGRAPH = str(Path(sys.executable).with_name("heliograph"))
DAYS = 5
SHARDS = 2


@pytest.fixture
async def archiving(state: State, tmp_path: Path, eventually: Eventually) -> AsyncIterator[State]:
    """A stack whose archiver has five days of a bar in ClickHouse."""
    options = Options(data=tmp_path, speed=None, shards=SHARDS, gateway_port=0)
    async with Stack(state, options, names=("archiver",)) as stack:
        bus = await stack.connect()
        await bus.ensure_streams()
        shard = subjects.bars(shard_of("AAPL", SHARDS))
        await bus.publish(
            [Message(subject=shard, data=encode(bar(day)), msg_id=f"{day}") for day in range(DAYS)]
        )

        async def stored() -> bool:
            try:
                return bool((await bus.request("query.archiver.counts", {}, 1))["bars"] == DAYS)
            except UnavailableError:
                return False

        await eventually(stored)
        await bus.close()
        yield state


def bar(day: int) -> BarBatch:
    """A daily bar of 2020."""
    price: dict[str, Any] = {name: [100.0 + day] for name in ("open", "high", "low", "close")}
    ts = (18_262 + day) * 86_400 * NANOSECONDS
    return BarBatch(
        id=f"{day:016x}", ts=ts, interval="1d", source="t", symbols=["AAPL"], volume=[1.0], **price
    )


async def heliograph(state: State, *args: str) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a command."""
    process = await asyncio.create_subprocess_exec(
        HELIOGRAPH,
        *args,
        "--state",
        str(state.folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def test_the_archive_is_run_listed_verified_restored_and_costed(archiving: State) -> None:
    code, output, _ = await heliograph(archiving, "archive", "run", "--json")
    said = json.loads(output)
    assert (code, said["objects"], said["rows"], said["written"]) == (0, DAYS, DAYS, DAYS)
    _, output, _ = await heliograph(archiving, "archive", "list", "--json")
    assert [day["day"] for day in json.loads(output)] == [f"2020-01-0{number}" for number in range(1, 6)]
    code, output, _ = await heliograph(archiving, "archive", "restore", "--first", "2020-01-02")
    assert (code, output.split()) == (0, ["days", "1", "rows", "1"])
    _, output, _ = await heliograph(archiving, "archive", "cost")
    assert "7 years" in output
    code, _, errors = await heliograph(archiving, "archive", "lifecycle", "--apply")
    assert (code, "a folder, expected s3://bucket" in errors) == (2, True)
    part = next((archiving.folder / "archive" / "bars" / "date=2020-01-03").glob("part-*"))
    part.write_bytes(part.read_bytes()[:-5])
    code, output, _ = await heliograph(archiving, "archive", "verify")
    assert code == 1
    assert f"bars/date=2020-01-03/{part.name}" in output
    assert "5 objects read, 1 not whole" in output
