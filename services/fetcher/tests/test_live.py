"""Live bars on the real NATS server: each once and in order, whatever breaks in between."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from tests.massive_server import AGGS, KEY, MINUTE_MS, MassiveServer, event

from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.errors import ConfigError, InvariantError
from heliograph.common.events import BarBatch, DeadLetter, Tick
from heliograph.common.service import Context
from heliograph.common.shards import shard_of
from heliograph.common.sharing import Sharing
from heliograph.fetcher.service import FetcherService
from heliograph.fetcher.settings import FetcherSettings

SHARDS = 4
SYMBOLS = ("AAPL", "BRK.B", "MSFT", "NVDA", "SPY", "QQQ")
T0 = 1_699_977_600_000
"""A minute of a Tuesday in which the stock market was open, milliseconds."""
Eventually = Callable[..., Awaitable[Any]]
Folder = Callable[..., Path]
MakeBars = Callable[..., list[Any]]


class WallClock:
    """Wall time as a test sets it; the other one goes by."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now_ns(self) -> int:
        return self.ms * 10**6

    def monotonic(self) -> float:
        return time.monotonic()


class Fetcher:
    """One replica: a service with its own connection and its share of the shards."""

    def __init__(self, settings: FetcherSettings, member: str, clock: WallClock) -> None:
        self.settings = settings
        self.member = member
        self.clock = clock
        self.service = FetcherService()
        self._ends = contextlib.AsyncExitStack()
        self.sharing: Sharing | None = None

    async def start(self) -> None:
        bus = await Bus.connect(self.settings, self.member)
        self._bus = bus
        self._ends.push_async_callback(bus.close)
        context = Context(
            name="fetcher", member=self.member, settings=self.settings, bus=bus, clock=self.clock
        )
        await self.service.start(context)
        self._ends.push_async_callback(self.service.stop)
        self.sharing = Sharing(bus, self.service, self.member, self.settings, lambda: None)
        self._ends.push_async_callback(self.sharing.stop)
        follow = asyncio.create_task(self.sharing.run())

        # Its end is not waited for: a request of the library's that ends just now swallows the one
        # cancellation that a group of tasks passes on, so that it ends with the connection.
        self._ends.callback(follow.cancel)

    async def stop(self) -> None:
        await self._ends.aclose()

    async def kill(self) -> None:
        """End it as a dead process ends: it hands nothing over, and tells nobody."""
        await self._bus.client.close()
        await self.stop()

    async def status(self) -> dict[str, Any]:
        return await self.service.status()

    async def follows(self) -> bool:
        """Whether it is connected, and nothing of the past is missing any more."""
        status = await self.status()
        return bool(status["connected"] and status["symbols"] and not status["filling"])


@pytest.fixture
def clock() -> WallClock:
    return WallClock(T0 + 5_000)


Make = Callable[..., Awaitable[Fetcher]]


@pytest.fixture
async def start(
    bus: Bus, nats_settings: Settings, server: MassiveServer, clock: WallClock
) -> AsyncIterator[Make]:
    """Start a replica that follows the server; stopped after the test."""
    started: list[Fetcher] = []

    async def make(**changes: Any) -> Fetcher:
        changes = {"symbols": SYMBOLS, "massive_api_key": KEY, "look_back_days": 1.0, **changes}
        settings = FetcherSettings(
            nats_url=nats_settings.nats_url,
            provider="massive",
            massive_rest_url=f"http://{server.host}",
            massive_stream_url=f"ws://{server.host}/stocks",
            massive_rate=1000,
            massive_burst=1000,
            settle_s=0.05,
            shards=SHARDS,
            heartbeat_s=0.1,
            member_ttl_s=1.0,
            **changes,
        )
        fetcher = Fetcher(settings, f"m{len(started)}", clock)
        started.append(fetcher)
        await fetcher.start()
        return fetcher

    yield make
    for fetcher in started:
        await fetcher.stop()


async def published(bus: Bus) -> list[tuple[int, BarBatch]]:
    upto = await bus.last_seq("INPUT")
    found = [m async for m in bus.read("INPUT", "input.bars.*", after=0, upto=upto)]
    return [(int(m.subject.rsplit(".", 1)[1]), msgspec.json.decode(m.data, type=BarBatch)) for m in found]


async def bars(bus: Bus) -> list[tuple[str, int]]:
    """Symbol and start (milliseconds) of each bar in INPUT, in order."""
    return [(s, batch.ts // 10**6) for _, batch in await published(bus) for s in batch.symbols]


def assert_once_and_in_order(found: list[tuple[str, int]], expected: set[tuple[str, int]]) -> None:
    assert Counter(found) == Counter(expected)
    for symbol in {s for s, _ in found}:
        starts = [t for s, t in found if s == symbol]
        assert starts == sorted(starts)


def minutes(first: int, end: int, symbols: tuple[str, ...] = SYMBOLS) -> set[tuple[str, int]]:
    return {(s, T0 + n * MINUTE_MS) for s in symbols for n in range(first, end)}


def tell(server: MassiveServer, first: int, end: int, symbols: tuple[str, ...] = SYMBOLS) -> list[Any]:
    """Bars that have happened, as events of the stream."""
    return [server.happened(s, T0 + n * MINUTE_MS, 100 + n) for n in range(first, end) for s in symbols]


async def test_the_past_by_rest_and_the_present_by_the_stream(
    bus: Bus, server: MassiveServer, start: Make, clock: WallClock, eventually: Eventually
) -> None:
    tell(server, -30, 0)
    server.page = 7
    fetcher = await start()
    await eventually(fetcher.follows)
    clock.ms = T0 + MINUTE_MS + 2_000
    present = tell(server, 0, 1)
    # Twice, as garbage, of nobody who was asked for, with fields of wrong types, and not yet closed.
    wrong = {**event("AAPL", T0), "o": "100", "v": None}
    early = event("MSFT", T0 + 20 * MINUTE_MS)
    await server.send("no json", "{}", ["AAPL", 5], *present, *present, wrong, early)

    async def told() -> bool:
        return len(await bars(bus)) >= 31 * len(SYMBOLS) and bool(await bus.last_seq("DEAD"))

    await eventually(told)
    assert_once_and_in_order(await bars(bus), minutes(-30, 1))
    for shard, batch in await published(bus):
        assert {shard_of(s, SHARDS) for s in batch.symbols} == {shard}
        assert (batch.source, batch.interval, batch.received > 0) == ("massive", "1m", True)
        assert batch.close == [batch.close[0]] * len(batch.symbols)
    starts = Counter((shard, batch.ts) for shard, batch in await published(bus))
    assert set(starts.values()) == {1}  # all of a shard and a minute together
    status = await fetcher.status()
    assert status["duplicates"] >= len(SYMBOLS)
    assert status["bars_published"] == 31 * len(SYMBOLS)
    assert status["quarantined"] == {"not_closed": 1, "not_finite": 1}
    assert (status["provider"], status["health"], status["stale"]) == ("massive", "healthy", 0)
    upto = await bus.last_seq("DEAD")
    letters = [m async for m in bus.read("DEAD", "dead.fetcher.*", after=0, upto=upto)]
    reasons = [msgspec.json.decode(m.data, type=DeadLetter).reason.split(":")[0] for m in letters]
    assert sorted(reasons) == ["not_closed", "not_finite"]
    assert all("adjusted=true" in a or "cursor=" in a for a in server.asked)
    assert server.keys == {f"Bearer {KEY}"}
    assert not any(KEY in asked for asked in server.asked)


async def test_a_new_symbol_is_asked_for_from_thirty_days_back(
    server: MassiveServer, start: Make, clock: WallClock, eventually: Eventually
) -> None:
    default: float = FetcherSettings.model_fields["look_back_days"].default
    fetcher = await start(symbols=("AAPL",), look_back_days=default)
    await eventually(fetcher.follows)
    since = {int(match[2]) for asked in server.asked if (match := AGGS.match(urlsplit(asked).path))}
    thirty_days_ms = 30 * 24 * 60 * MINUTE_MS
    assert min(since) == (clock.ms - thirty_days_ms) // MINUTE_MS * MINUTE_MS


async def test_a_lost_connection_leaves_no_gap(
    bus: Bus,
    server: MassiveServer,
    start: Make,
    clock: WallClock,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("heliograph.fetcher.live.feed.PAUSE_MAX_S", 0.1)
    tell(server, -3, 0)
    fetcher = await start()
    await eventually(fetcher.follows)
    server.away = True
    await server.drop()

    async def lost() -> bool:
        return not (await fetcher.status())["connected"]

    await eventually(lost)
    tell(server, 0, 5)  # Nobody hears of these.
    clock.ms = T0 + 5 * MINUTE_MS + 2_000
    server.away = False
    await eventually(fetcher.follows)
    clock.ms += MINUTE_MS
    await server.send(*reversed(tell(server, 5, 6)))

    async def whole() -> bool:
        return len(await bars(bus)) >= 9 * len(SYMBOLS)

    await eventually(whole)
    assert_once_and_in_order(await bars(bus), minutes(-3, 6))
    assert server.opened >= 2
    # Only what is newer than what is held was asked for again.
    asked = [a.split("/minute/")[1].split("/")[0] for a in server.asked[len(SYMBOLS) :]]
    assert {int(since) for since in asked} == {T0}


@pytest.mark.parametrize("end", [Fetcher.stop, Fetcher.kill], ids=["stopped", "killed"])
async def test_a_restart_goes_on_behind_the_newest_bar_of_each_symbol(
    bus: Bus,
    server: MassiveServer,
    start: Make,
    clock: WallClock,
    eventually: Eventually,
    end: Callable[[Fetcher], Awaitable[None]],
) -> None:
    first = await start()
    await eventually(first.follows)
    clock.ms = T0 + 3 * MINUTE_MS + 2_000
    told = tell(server, 0, 3)
    rare = [e for e in told if not (e["sym"] == "MSFT" and e["s"] > T0)]
    server.bars["MSFT"] = {T0: server.bars["MSFT"][T0]}
    await server.send(*rare)

    async def count(expected: int) -> bool:
        return len(await bars(bus)) >= expected

    await eventually(lambda: count(len(rare)))
    await end(first)
    tell(server, 3, 6)
    clock.ms = T0 + 6 * MINUTE_MS + 2_000
    asked = len(server.asked)
    second = await start()
    await eventually(second.follows)
    await eventually(lambda: count(len(rare) + 3 * len(SYMBOLS)))
    expected = {(e["sym"], e["s"]) for e in rare} | minutes(3, 6)
    assert_once_and_in_order(await bars(bus), expected)
    since = {a.split("/")[4]: int(a.split("/minute/")[1].split("/")[0]) for a in server.asked[asked:]}
    beside = shard_of("MSFT", SHARDS)
    assert {t for s, t in since.items() if shard_of(s, SHARDS) != beside} == {T0 + 3 * MINUTE_MS}
    assert since["MSFT"] == T0 + MINUTE_MS
    assert (await second.status())["gaps"] == 1


async def test_two_replicas_share_the_shards_and_one_takes_over(
    bus: Bus, server: MassiveServer, start: Make, clock: WallClock, eventually: Eventually
) -> None:
    tell(server, -2, 0)
    one, two = await start(), await start()

    async def shared() -> bool:
        owned = [set(f.sharing.shards) for f in (one, two) if f.sharing]
        apart = all(owned) and len(owned[0] | owned[1]) == SHARDS and not owned[0] & owned[1]
        follow = [await f.follows() or not (await f.status())["symbols"] for f in (one, two)]
        return apart and all(follow) and len(server.subscribed) == len(SYMBOLS)

    await eventually(shared)
    clock.ms = T0 + MINUTE_MS + 2_000
    await server.send(*tell(server, 0, 1))

    async def count(expected: int) -> bool:
        return len(await bars(bus)) >= expected

    await eventually(lambda: count(3 * len(SYMBOLS)))
    await one.stop()
    clock.ms += MINUTE_MS
    # What the first one had been subscribed to is missed, and comes by REST.
    await server.send(*tell(server, 1, 2))
    await eventually(lambda: _has_all(two, server))
    clock.ms += MINUTE_MS
    await server.send(*tell(server, 2, 3))
    await eventually(lambda: count(5 * len(SYMBOLS)))
    assert_once_and_in_order(await bars(bus), minutes(-2, 3))


async def _has_all(fetcher: Fetcher, server: MassiveServer) -> bool:
    status = await fetcher.status()
    alone = status["symbols"] == len(server.subscribed) == len(SYMBOLS)
    return alone and await fetcher.follows()


async def test_time_is_told_after_bars(
    bus: Bus, server: MassiveServer, start: Make, clock: WallClock, eventually: Eventually
) -> None:
    tell(server, -1, 0, ("AAPL",))
    await start(symbols=("AAPL",), tick_s=20.0)
    shard = shard_of("AAPL", SHARDS)
    await eventually(lambda: bus.last("INPUT", f"input.bars.{shard}"))
    assert await bus.last("INPUT", f"input.tick.{shard}") is None
    clock.ms = T0 + 20_000
    last = await eventually(lambda: bus.last("INPUT", f"input.tick.{shard}"))
    assert msgspec.json.decode(last.data, type=Tick).ts == (T0 + 20_000) * 10**6


async def test_a_past_that_cannot_be_had_does_not_keep_back_the_present_for_ever(
    bus: Bus,
    server: MassiveServer,
    start: Make,
    clock: WallClock,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("heliograph.common.http_retry.PAUSE", lambda _: 0.0)
    monkeypatch.setattr("heliograph.fetcher.live.running.PATIENCE_S", 0.0)
    server.faults.extend([(500, {}, b"")] * 100)
    fetcher = await start(symbols=("AAPL",))
    await eventually(fetcher.follows)
    clock.ms = T0 + MINUTE_MS + 2_000
    await server.send(*tell(server, 0, 1))
    found = await eventually(lambda: bars(bus))
    assert found == [("AAPL", T0)]


async def test_a_refused_key_stops_it_with_the_name_of_the_setting(
    start: Make, server: MassiveServer, eventually: Eventually
) -> None:
    fetcher = await start(massive_api_key="bad key")
    assert fetcher.sharing is not None
    failure = fetcher.sharing.failure

    async def failed() -> bool:
        return failure.done()

    await eventually(failed)
    with pytest.raises(InvariantError, match=r"MASSIVE_API_KEY.*authentication failed") as raised:
        failure.result()
    assert "bad key" not in str(raised.value)


async def test_live_bars_do_not_follow_a_replay_nor_a_replay_live_bars(
    bus: Bus,
    nats_settings: Settings,
    server: MassiveServer,
    start: Make,
    folder: Folder,
    make_bars: MakeBars,
    eventually: Eventually,
) -> None:
    tell(server, -2, 0)
    fetcher = await start()
    await eventually(lambda: bars(bus))
    await fetcher.stop()
    settings = FetcherSettings(
        nats_url=nats_settings.nats_url, data=folder({"a.parquet": make_bars("AAPL", 3)}), shards=SHARDS
    )
    replay = Context(name="fetcher", member="r", settings=settings, bus=bus, clock=SYSTEM_CLOCK)
    with pytest.raises(
        ConfigError, match=r"data: .*the state holds another replay, of no plan.*from massive"
    ):
        await FetcherService().start(replay)
    await bus.js.purge_stream("INPUT")
    service = FetcherService()
    await service.start(replay)
    processor = service.processor(shard_of("AAPL", SHARDS))
    await processor.open()
    while not await bus.last_seq("INPUT") or not await bus.last("INPUT", "input.bars.*"):
        await processor.handle("", [])
    await service.stop()
    with pytest.raises(ConfigError, match=r"provider: live bars cannot follow a replay.*from replay"):
        await start()
