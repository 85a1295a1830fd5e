"""The replay on the real NATS server: every bar once and in order, whatever dies in between."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliograph.common.bus import Bus, Message
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.errors import ConfigError, FencedError, InputError, InvariantError, UnavailableError
from heliograph.common.events import BarBatch, DeadLetter
from heliograph.common.service import Context, ShardProcessor
from heliograph.common.shards import shard_of
from heliograph.fetcher.service import FetcherService
from heliograph.fetcher.settings import FetcherSettings

DAY_NS = 86_400 * 10**9
SHARDS = 4
SYMBOLS = ("AAPL", "BRK.B", "BTC/USD", "A B", "MSFT", "NVDA", "SPY", "QQQ")
Make = Callable[..., Awaitable[FetcherService]]
Folder = Callable[..., Path]
MakeBars = Callable[..., list[Any]]
Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


@pytest.fixture
async def start(bus: Bus, nats_settings: Settings) -> AsyncIterator[Make]:
    """Start a fetcher on a folder; stopped after the test."""
    started: list[FetcherService] = []

    async def make(data: Path, **changes: Any) -> FetcherService:
        settings = FetcherSettings(
            nats_url=nats_settings.nats_url, data=data, **{"shards": SHARDS, "window_messages": 7, **changes}
        )
        context = Context(
            name="fetcher", member=f"m{len(started)}", settings=settings, bus=bus, clock=SYSTEM_CLOCK
        )
        service = FetcherService()
        await service.start(context)
        started.append(service)
        return service

    yield make
    for service in started:
        await service.stop()


@pytest.fixture(scope="module")
def redis_port() -> int:
    """A port for a Redis that a test starts."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def start_redis(port: int, folder: Path) -> subprocess.Popen[bytes]:
    binary = Path(sys.executable).with_name("redis-server")
    process = subprocess.Popen(
        [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return process
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


async def steps(processor: ShardProcessor, count: int) -> None:
    await processor.open()
    for _ in range(count):
        await processor.handle("", [])


async def finish(service: FetcherService, shards: int = SHARDS) -> dict[str, Any]:
    """Run all shards of a service to their ends, side by side; its status."""

    async def run(shard: int) -> None:
        processor = service.processor(shard)
        await processor.open()
        while not (await service.status())["shards"][str(shard)]["done"]:
            await processor.handle("", [])

    await asyncio.gather(*(run(s) for s in range(shards)))
    return await service.status()


async def published(bus: Bus, shard: int | str = "*") -> list[BarBatch]:
    upto = await bus.last_seq("INPUT")
    found = [m async for m in bus.read("INPUT", f"input.bars.{shard}", after=0, upto=upto)]
    return [msgspec.json.decode(m.data, type=BarBatch) for m in found]


async def dead(bus: Bus) -> list[DeadLetter]:
    upto = await bus.last_seq("DEAD")
    found = [m async for m in bus.read("DEAD", "dead.fetcher.*", after=0, upto=upto)]
    return [msgspec.json.decode(m.data, type=DeadLetter) for m in found]


def rows_of(batches: list[BarBatch]) -> list[tuple[Any, ...]]:
    return [
        (s, b.ts, *values)
        for b in batches
        for s, *values in zip(b.symbols, b.open, b.high, b.low, b.close, b.volume, strict=True)
    ]


def content(batches: list[BarBatch]) -> list[BarBatch]:
    """Batches without the time of receipt, which may differ."""
    return [msgspec.structs.replace(b, received=0) for b in batches]


async def test_every_bar_comes_once_and_in_order(
    bus: Bus, start: Make, folder: Folder, make_bars: MakeBars
) -> None:
    rows = [r for n, s in enumerate(SYMBOLS) for r in make_bars(s, 40 + n)]
    service = await start(folder({"a.parquet": rows}))
    status = await finish(service)
    assert Counter(rows_of(await published(bus))) == Counter(rows)
    for shard in range(SHARDS):
        batches = await published(bus, shard)
        assert [b.ts for b in batches] == sorted(b.ts for b in batches)
        assert {shard_of(s, SHARDS) for b in batches for s in b.symbols} <= {shard}
    assert status["done"]
    assert status["bars_published"] == status["bars_total"] == len(rows)
    assert status["quarantined"] == {}
    assert (status["provider"], status["redis"], status["health"]) == ("replay", "memory", "healthy")


async def test_each_message_carries_its_trace(
    bus: Bus, start: Make, folder: Folder, make_bars: MakeBars
) -> None:
    await finish(await start(folder({"a.parquet": make_bars("AAPL", 5)})))
    found = [m async for m in bus.read("INPUT", "input.bars.*", after=0, upto=await bus.last_seq("INPUT"))]
    traces = [m.headers["traceparent"].split("-")[1] for m in found]
    assert len(set(traces)) == 5


@pytest.mark.parametrize("windows", [1, 3])
async def test_a_killed_fetcher_goes_on_where_it_stood(
    bus: Bus, start: Make, folder: Folder, make_bars: MakeBars, windows: int
) -> None:
    data = folder({"a.parquet": [r for s in SYMBOLS for r in make_bars(s, 50)]})
    first = await start(data)
    for shard in range(SHARDS):
        await steps(first.processor(shard), windows)
    half = await published(bus)
    second = await start(data)
    await finish(second)
    whole = await published(bus)
    assert whole[: len(half)] == half
    used = {shard_of(s, SHARDS) for s in SYMBOLS}
    assert len(half) == len(used) * min(50, 7 * windows)
    assert len({b.id for b in whole}) == len(whole) == len({(b.ts, *b.symbols) for b in whole})
    assert len(rows_of(whole)) == 50 * len(SYMBOLS)
    for shard in range(SHARDS):
        mine = await published(bus, shard)
        assert [b.ts for b in mine] == sorted(b.ts for b in mine)


async def test_a_third_start_publishes_nothing(
    bus: Bus, start: Make, folder: Folder, make_bars: MakeBars
) -> None:
    bad = [(*r[:6], -1.0) for r in make_bars("MSFT", 3)]
    data = folder({"a.parquet": make_bars("AAPL", 20) + bad})
    await finish(await start(data))
    seqs = [await bus.last_seq(s) for s in ("INPUT", "DEAD")]
    again = await finish(await start(data))
    assert [await bus.last_seq(s) for s in ("INPUT", "DEAD")] == seqs
    assert again["bars_published"] == 20
    assert again["quarantined"] == {"bad_volume": 3}


async def test_two_that_both_think_the_shard_is_theirs_leave_no_hole(
    bus: Bus, start: Make, folder: Folder, make_bars: MakeBars
) -> None:
    data = folder({"a.parquet": make_bars("AAPL", 300)})
    shard = shard_of("AAPL", SHARDS)
    services = [await start(data), await start(data)]
    fenced = 0

    async def run(service: FetcherService) -> None:
        nonlocal fenced
        while not (await service.status())["done"]:
            processor = service.processor(shard)
            try:
                await processor.open()
                while not (await service.status())["done"]:
                    await processor.handle("", [])
            except (FencedError, UnavailableError):
                fenced += 1

    await asyncio.gather(*(run(s) for s in services))
    assert fenced > 0
    assert rows_of(await published(bus)) == make_bars("AAPL", 300)


async def test_the_server_may_die_in_the_middle(
    bus: Bus, start: Make, folder: Folder, make_bars: MakeBars, nats_server: Any
) -> None:
    data = folder({"a.parquet": make_bars("AAPL", 300)})
    shard = shard_of("AAPL", SHARDS)
    service = await start(data)
    await steps(service.processor(shard), 5)
    nats_server.stop(signal.SIGKILL)
    with pytest.raises(UnavailableError):
        await steps(service.processor(shard), 1)
    nats_server.start()
    while not (await service.status())["done"]:
        try:
            await finish(service)
        except (UnavailableError, FencedError):
            await asyncio.sleep(0.05)
    assert rows_of(await published(bus)) == make_bars("AAPL", 300)


@pytest.mark.parametrize(
    "changes",
    [{"price": 100.5}, {"count": 21}, {"symbol": "MSFT"}],
    ids=["another price", "more bars", "another symbol"],
)
async def test_another_replay_is_refused_at_the_start(
    start: Make, folder: Folder, make_bars: MakeBars, changes: dict[str, Any]
) -> None:
    whole = {"symbol": "AAPL", "count": 20}
    await finish(await start(folder({"a.parquet": make_bars(**whole)})))
    other = folder({"a.parquet": make_bars(**(whole | changes))}, "other")
    with pytest.raises(
        ConfigError, match=r"data: .*another replay.*1d bars of 2013-11-10.*AAPL.*empty state"
    ):
        await start(other)


async def test_another_replay_is_refused_when_a_shard_is_taken(
    start: Make, folder: Folder, make_bars: MakeBars
) -> None:
    one = await start(folder({"a.parquet": make_bars("AAPL", 20)}))
    other = await start(folder({"a.parquet": make_bars("AAPL", 30)}, "other"))
    await finish(one)
    with pytest.raises(InvariantError, match="another replay"):
        await other.processor(shard_of("AAPL", SHARDS)).open()


async def test_bars_of_no_replay_are_refused(
    bus: Bus, start: Make, folder: Folder, make_bars: MakeBars
) -> None:
    await bus.publish([Message(subject="input.bars.1", data=b"{}", msg_id="x")])
    with pytest.raises(ConfigError, match="of no plan"):
        await start(folder({"a.parquet": make_bars("AAPL", 3)}))


async def test_bad_bars_are_kept_and_counted_once(
    bus: Bus, start: Make, folder: Folder, make_bars: MakeBars
) -> None:
    good = [r for s in SYMBOLS for r in make_bars(s, 10)]
    bad = [
        *((*r[:2], float("nan"), *r[3:]) for r in make_bars("AAPL", 1200)),
        *((*r[:3], r[4], r[3], *r[5:]) for r in make_bars("BRK.B", 3)),
        *make_bars("A B", 2),
        ("\n", *good[0][1:]),
    ]
    data = folder({"a.parquet": good + bad})
    for _ in range(2):
        status = await finish(await start(data))
    assert Counter(rows_of(await published(bus))) == Counter(good)
    expected = {"bad_range": 3, "bad_symbol": 1, "duplicate": 2, "not_finite": 1200}
    assert status["quarantined"] == expected
    letters = await dead(bus)
    assert sum(letter.rows for letter in letters) == sum(expected.values())
    assert all(letter.quarantine for letter in letters)
    rows = [bar for letter in letters for bar in json.loads(letter.payload)]
    assert len({(bar["file"], bar["row"]) for bar in rows}) == len(rows) == sum(expected.values())


async def test_quarantine_adds_up_over_replicas(start: Make, folder: Folder, make_bars: MakeBars) -> None:
    bad = [(*r[:6], -1.0) for s in SYMBOLS for r in make_bars(s, 3)]
    data = folder({"a.parquet": make_bars("AAPL", 30, start=17_000 * DAY_NS) + bad})
    one, two = await start(data), await start(data)
    await asyncio.gather(*(steps((one if shard % 2 else two).processor(shard), 7) for shard in range(SHARDS)))
    statuses = [await one.status(), await two.status()]
    assert sum(s["quarantined"].get("bad_volume", 0) for s in statuses) == 3 * len(SYMBOLS)
    assert sum(s["bars_total"] for s in statuses) == sum(s["bars_published"] for s in statuses) == 30
    assert all(s["done"] for s in statuses)


async def test_a_fetcher_without_a_shard_is_done_when_all_are(
    start: Make, folder: Folder, make_bars: MakeBars
) -> None:
    data = folder({"a.parquet": make_bars("AAPL", 10)})
    working, idle = await start(data), await start(data)
    assert not (await idle.status())["done"]
    await finish(working)
    assert (await idle.status())["done"]
    assert (await idle.status())["bars_total"] == 0


async def test_a_paced_replay_publishes_what_is_due(
    bus: Bus, start: Make, folder: Folder, make_bars: MakeBars, eventually: Eventually
) -> None:
    data = folder({"a.parquet": make_bars("AAPL", 400)})
    shard = shard_of("AAPL", SHARDS)
    service = await start(data, speed=86_400.0 * 20, history_days=99, window_messages=1000)
    processor = service.processor(shard)
    began = time.monotonic()
    await steps(processor, 1)
    assert len(await published(bus)) == 100

    async def ten_more() -> bool:
        await processor.handle("", [])
        return len(await published(bus)) >= 110

    await eventually(ten_more)
    took = time.monotonic() - began
    assert took >= 0.45
    assert len(await published(bus)) <= 101 + 20 * took


async def test_a_slow_consumer_holds_the_replay_back(
    bus: Bus, start: Make, folder: Folder, make_bars: MakeBars, eventually: Eventually
) -> None:
    data = folder({"a.parquet": make_bars("AAPL", 200)})
    shard = shard_of("AAPL", SHARDS)
    subscription = await bus.js.pull_subscribe(
        f"input.bars.{shard}", f"consensus-{shard}-bars", stream="INPUT"
    )
    service = await start(data, bars_ahead=50)
    processor = service.processor(shard)
    await steps(processor, 20)
    assert len(await published(bus)) == 50

    for message in await subscription.fetch(50, timeout=5):
        await message.ack_sync()
    await subscription.unsubscribe()

    async def goes_on() -> bool:
        await processor.handle("", [])
        return len(await published(bus)) == 100

    await eventually(goes_on)
    for _ in range(5):
        await processor.handle("", [])
    assert len(await published(bus)) == 100


async def test_one_symbol_on_one_shard(bus: Bus, start: Make, folder: Folder, make_bars: MakeBars) -> None:
    service = await start(folder({"a.parquet": make_bars("X", 1)}), shards=1)
    assert (await finish(service, 1))["done"]
    assert rows_of(await published(bus)) == make_bars("X", 1)


async def test_two_thousand_symbols(bus: Bus, start: Make, folder: Folder, make_bars: MakeBars) -> None:
    rows = [r for n in range(2000) for r in make_bars(f"S{n}", 5)]
    status = await finish(await start(folder({"a.parquet": rows}), window_messages=64))
    assert status["bars_published"] == 10_000
    assert Counter(rows_of(await published(bus))) == Counter(rows)


async def test_two_runs_publish_the_same(bus: Bus, start: Make, folder: Folder, make_bars: MakeBars) -> None:
    rows = [r for s in SYMBOLS for r in make_bars(s, 20)]
    await finish(await start(folder({"a.parquet": rows})))
    first = [content(await published(bus, s)) for s in range(SHARDS)]
    await bus.js.purge_stream("INPUT")
    await finish(await start(folder({"a.parquet": rows}, "copy"), window_messages=64))
    assert [content(await published(bus, s)) for s in range(SHARDS)] == first


async def test_bad_data_end_the_start(start: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data: .*is not a folder"):
        await start(tmp_path / "nowhere")


async def test_health_is_copied_to_redis_and_survives_it(
    start: Make, folder: Folder, make_bars: MakeBars, redis_port: int, tmp_path: Path, eventually: Eventually
) -> None:
    data = folder({"a.parquet": make_bars("AAPL", 3)})
    process = start_redis(redis_port, tmp_path)
    try:
        service = await start(data, redis_url=f"redis://127.0.0.1:{redis_port}/0")

        async def store() -> Any:
            return (await service.status())["redis"]

        async def copied() -> bool:
            return bool(await store() == "ok")

        await eventually(copied)
    finally:
        process.kill()
        process.wait()

    async def away() -> bool:
        return bool(await store() == "memory")

    await eventually(away)
    status = await finish(service)
    assert (status["done"], status["health"]) == (True, "healthy")
    assert await service.problems() == {}


async def test_a_wrong_redis_url_is_named(start: Make, folder: Folder, make_bars: MakeBars) -> None:
    with pytest.raises(ConfigError, match="redis_url"):
        await start(folder({"a.parquet": make_bars("AAPL", 3)}), redis_url="ftp://nowhere")
