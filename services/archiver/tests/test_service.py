"""The archiver as a process: it starts, answers, stands by, takes over, and ends cleanly."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.archiver.service import ArchiverService
from heliograph.archiver.settings import ArchiverSettings
from heliograph.common import subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings, load
from heliograph.common.errors import ConfigError, InputError, InvariantError, UnavailableError
from heliograph.common.events import encode
from heliograph.common.service import Context

Eventually = Callable[..., Awaitable[Any]]
Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start(nats_settings: Settings, tmp_path: Path, bus: Bus) -> AsyncIterator[Start]:
    """Start an archiver process on the test's folder."""
    assert bus.client.is_connected
    started: list[asyncio.subprocess.Process] = []

    async def make(**changes: str) -> asyncio.subprocess.Process:
        environment = {
            **os.environ,
            "NATS_URL": nats_settings.nats_url,
            "CLICKHOUSE_URL": f"chdb://{tmp_path}/clickhouse",
            "ARCHIVE_URL": f"file://{tmp_path}/archive",
            "HELIOGRAPH_SHARDS": "4",
            "HELIOGRAPH_HEARTBEAT_S": "0.1",
            "HELIOGRAPH_MEMBER_TTL_S": "1",
            "HELIOGRAPH_ARCHIVE_PERIOD_S": "0.2",
            **changes,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "heliograph.archiver",
            env=environment,
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield make
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def answered(bus: Bus, subject: str, body: dict[str, Any] | None = None) -> Callable[[], Awaitable[Any]]:
    async def ask() -> Any:
        try:
            return await bus.request(f"query.archiver.{subject}", body or {}, 1)
        except UnavailableError:
            return None

    return ask


async def send(bus: Bus, events: Any, days: range) -> None:
    for shard in range(4):
        made = [events.bars(day, (f"S{shard}",)) for day in days]
        await bus.publish([Message(subject=subjects.bars(shard), data=encode(e), msg_id=e.id) for e in made])


def holds(bus: Bus, bars: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        found = await answered(bus, "counts")()
        return found is not None and found["bars"] == bars

    return check


async def readiness(bus: Bus, member: str) -> dict[str, str]:
    """The problems that a member's probe tells; it must say that it is not ready."""
    [probe] = [s["probe"] for s in await bus.ask_all("status.archiver", {}) if s["member"] == member]
    with pytest.raises(urllib.error.HTTPError) as refused:
        await asyncio.to_thread(urllib.request.urlopen, f"{probe}/readyz")
    problems: dict[str, str] = json.load(refused.value)["problems"]
    refused.value.close()
    return problems


async def archive_requests(bus: Bus) -> None:
    """What may be asked of an archive of ten days of bars in a folder, and what is refused."""
    page = await bus.request("query.archiver.archived", {"table": "bars", "first": "2020-01-03"})
    assert [day["day"] for day in page["days"]] == [f"2020-01-{number:02}" for number in range(3, 11)]
    assert page["cursor"] is None
    assert {(day["rows"], day["format"], day["dropped"]) for day in page["days"]} == {(4, "zstd", False)}
    after = {"cursor": "0/2020-01-09"}
    assert [day["day"] for day in (await bus.request("query.archiver.archived", after))["days"]] == [
        "2020-01-10"
    ]
    body = {"first": "2020-01-02", "last": "2020-01-04"}
    assert await bus.request("query.archiver.restore", body) == {"days": 3, "rows": 12}
    assert (await bus.request("query.archiver.counts", {}))["bars"] == 40
    assert len((await bus.request("query.archiver.cost", {}))["years"]) == 7
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("lifecycle", {}, "archive_url: a folder, expected s3"),
        ("drop", {"table": "bars", "first": "2020-01-02", "last": "2020-01-02"}, "came within 60 s"),
        ("drop", {"first": "2020-01-02", "last": "2020-01-02"}, "table"),
        ("restore", {"table": "spans"}, "table: 'spans', expected one of bars"),
        ("restore", {"first": "2020-1-2"}, "first: '2020-1-2', expected a date"),
        ("verify", {"last": "tomorrow"}, "last: 'tomorrow', expected a date"),
        ("archive", {"complete_only": 1}, "complete_only: 1, expected true or false"),
        ("cost", {"ia": -1}, "ia: -1, expected a whole number"),
    ]
    for subject, wrong, named in refused:
        with pytest.raises(InputError, match=named):
            await bus.request(f"query.archiver.{subject}", wrong)


async def test_a_process_archives_by_itself_answers_and_ends_cleanly(
    bus: Bus, events: Any, start: Start, eventually: Eventually, tmp_path: Path
) -> None:
    process = await start(HELIOGRAPH_NICE="7")
    await send(bus, events, range(10))
    await eventually(holds(bus, 40), timeout=40)

    async def archived() -> bool:
        return len(list((tmp_path / "archive" / "bars").glob("date=*/part-*.parquet"))) == 9

    await eventually(archived)
    everything = await bus.request("query.archiver.archive", {})
    assert {k: everything[k] for k in ("objects", "rows", "days")} == {"objects": 10, "rows": 40, "days": 10}
    assert await bus.request("query.archiver.verify", {}) == {"checked": 10, "wrong": {}}
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == max(7, os.getpriority(os.PRIO_PROCESS, 0))
    await archive_requests(bus)
    bars = await bus.request("query.archiver.bars", {"symbol": "S1", "limit": 2})
    assert bars["close"] == [109.0, 110.0]
    assert (await bus.request("query.archiver.trace", {"signal": "none"}))["spans"] == []
    assert await bus.request("query.archiver.edges", {}) == []
    with pytest.raises((InputError, UnavailableError), match="symbol"):
        await bus.request("query.archiver.bars", {})
    [status] = await bus.ask_all("status.archiver", {})
    assert (status["ready"], status["shards"]) == (True, [0, 1, 2, 3])
    assert status["status"]["clickhouse"].startswith("26.")
    assert status["status"]["counts"]["bars"] == 40
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_a_second_process_stands_by_until_the_first_is_killed(
    bus: Bus, events: Any, start: Start, eventually: Eventually
) -> None:
    first = await start(HELIOGRAPH_MEMBER="first")
    await eventually(answered(bus, "versions"), timeout=40)
    second = await start(HELIOGRAPH_MEMBER="second")

    async def standing_by() -> bool:
        found = {s["member"]: s for s in await bus.ask_all("status.archiver", {})}
        waiting = found.get("second", {})
        problem = waiting.get("problems", {}).get("clickhouse", "")
        return problem.startswith("standby") and waiting["shards"] == [] and bool(found["first"]["shards"])

    await eventually(standing_by, timeout=40)
    assert "standby" in (await readiness(bus, "second"))["clickhouse"]
    await send(bus, events, range(3))
    await eventually(holds(bus, 12))
    first.kill()
    await first.wait()
    await send(bus, events, range(3, 6))
    await eventually(holds(bus, 24), timeout=30)
    assert second.returncode is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("CLICKHOUSE_URL", "mysql://h/d"),
        ("ARCHIVE_URL", "nowhere"),
        ("CLICKHOUSE_URL", "chdb:///proc/none"),
    ],
)
async def test_a_wrong_address_does_not_start(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(key, value)
    context = Context(
        name="archiver", member="m", settings=load(ArchiverSettings), bus=bus, clock=SYSTEM_CLOCK
    )
    service = ArchiverService()
    with pytest.raises(ConfigError, match=key.lower()):
        await service.start(context)
    await service.stop()


async def test_problems_name_what_is_wrong_from_the_start(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ARCHIVE_URL", f"file://{tmp_path}/file")
    monkeypatch.setenv("HELIOGRAPH_ARCHIVE_PERIOD_S", "0.05")
    settings = load(ArchiverSettings)
    service = ArchiverService()
    assert await service.problems() == {"clickhouse": "not yet opened"}
    assert await service.status() == {}
    with pytest.raises(InvariantError, match="before the start"):
        service.processor(0)
    context = Context(name="archiver", member="m", settings=settings, bus=bus, clock=SYSTEM_CLOCK)
    await service.start(context)
    assert await service.problems() == {}
    assert (await service.status())["store"] == "chdb"
    await service.processor(0).open()
    await bus.request("query.archiver.counts", {})
    service._tasks[0].cancel()

    async def seen() -> bool:
        return "spans" in await service.problems()

    await eventually(seen)
    await service.stop()


async def test_other_settings_are_refused(bus: Bus, nats_settings: Settings) -> None:
    context = Context(name="archiver", member="m", settings=nats_settings, bus=bus, clock=SYSTEM_CLOCK)
    with pytest.raises(InvariantError, match="ArchiverSettings"):
        await ArchiverService().start(context)


def test_the_defaults_are_under_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(ArchiverSettings)
    assert settings.clickhouse_url == f"chdb://{tmp_path}/.heliograph/clickhouse"
    assert settings.archive_url == f"file://{tmp_path}/.heliograph/archive"
    assert settings.clickhouse_url not in repr(settings)


def test_a_wait_over_a_second_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_INSERT_S", "1.5")
    with pytest.raises(ConfigError, match="insert_s"):
        load(ArchiverSettings)
