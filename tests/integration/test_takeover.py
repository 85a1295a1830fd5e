"""Consensus processes share the shards; one leaves, the others take over within ten seconds."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.common.bus import Bus
from heliograph.common.config import Settings

TAKEOVER_S = 10.0


@pytest.fixture
def nats_settings(nats_server: Any) -> Settings:
    """The defaults: heartbeats each second, a member is gone after four."""
    return Settings(nats_url=nats_server.url)


@pytest.fixture
def start(nats_server: Any, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Start consensus processes on the server; all are ended."""
    processes: list[subprocess.Popen[bytes]] = []

    def one(member: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "NATS_URL": nats_server.url, "HELIOGRAPH_MEMBER": member}
        with (tmp_path / f"{member}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "heliograph.consensus"], env=environment, stderr=log
            )
        processes.append(process)
        return process

    yield one
    for process in processes:
        process.kill()
        process.wait()


async def shards_of(bus: Bus) -> dict[str, int]:
    """How many shards each member that answers works on."""
    answers = await bus.ask_all("status.consensus", {}, wait=0.3)
    return {a["member"]: len(a["shards"]) for a in answers}


async def until_owned(bus: Bus, members: set[str]) -> None:
    """Wait until exactly these members work on all shards."""
    async with asyncio.timeout(60):
        while True:
            owned = {m: n for m, n in (await shards_of(bus)).items() if n}
            if set(owned) == members and sum(owned.values()) == bus.settings.shards:
                return
            await asyncio.sleep(0.05)


async def test_the_others_take_over(bus: Bus, start: Callable[[str], subprocess.Popen[bytes]]) -> None:
    start("a")
    leaving = {signal.SIGTERM: start("b"), signal.SIGKILL: start("c")}
    await until_owned(bus, {"a", "b", "c"})
    for number, staying in ((signal.SIGTERM, {"a", "c"}), (signal.SIGKILL, {"a"})):
        leaving[number].send_signal(number)
        left = time.monotonic()
        await until_owned(bus, staying)
        assert time.monotonic() - left <= TAKEOVER_S
