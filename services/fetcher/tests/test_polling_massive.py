"""Polling Massive: its recorded snapshots, and a server on loopback that fails and forms its minutes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from tests.loopback import answered
from tests.massive_server import KEY, MINUTE_MS, MassiveServer, bar
from websockets.http11 import Response

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import ConfigError, InputError, UnavailableError
from heliograph.fetcher.live import polling
from heliograph.fetcher.live.closing import Closing
from heliograph.fetcher.live.polling import PollingProvider, ticker_of
from heliograph.fetcher.live.registry import LIVE
from heliograph.fetcher.live.snapshot import Minute, read
from heliograph.fetcher.settings import FetcherSettings

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "payloads" / "massive_snapshots.json").read_text(encoding="utf-8")
)
T0 = 1_699_977_600_000
"""Milliseconds; a whole minute, on a Tuesday at 11:00 in New York."""
MS_NS = 1_000_000
MINUTE_NS = MINUTE_MS * MS_NS
SYMBOLS = ["AAPL", "BTC/USD"]


def test_a_recorded_snapshot_of_many_tells_the_newest_minute() -> None:
    found = read(json.dumps(RECORDED["snapshot of many"]).encode(), ["PDS", "AAPL"])
    assert found == {"PDS": Minute(1_684_428_600_000 * MS_NS, 14.28, 14.325, 14.2, 14.2284, 6108.0)}


def test_a_recorded_ticker_has_the_same_form() -> None:
    body = json.dumps({"tickers": [RECORDED["snapshot of one"]["ticker"]]}).encode()
    expected = Minute(1_684_428_600_000 * MS_NS, 160.71, 160.71, 160.3, 160.3, 197_226.0)
    assert read(body, ["AAPL"]) == {"AAPL": expected}
    assert read(body, ["MSFT"]) == {}


@pytest.mark.parametrize(
    "minute", [None, 5, {}, {"t": 0}, {"t": -5}, {"t": True}, {"t": "now"}, {"t": 1e300}, {"t": None}]
)
def test_a_minute_without_a_time_is_none(minute: object) -> None:
    assert read(json.dumps({"tickers": [{"ticker": "A", "min": minute}]}).encode(), ["A"]) == {}


def test_a_value_that_is_no_number_is_left_to_the_quality_gate() -> None:
    told = {"t": T0, "o": "1", "h": None, "l": True, "c": 5, "v": 7.5}
    found = read(json.dumps({"tickers": [{"ticker": "A", "min": told}]}).encode(), ["A"])["A"]
    assert np.isnan([found.open, found.high, found.low]).all()
    assert (found.ts, found.close, found.volume) == (T0 * MS_NS, 5.0, 7.5)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"tickers": 5}', b'{"tickers": [5]}', b"\xff"]
)
def test_what_is_no_snapshot_is_refused(body: bytes) -> None:
    with pytest.raises(InputError, match=r"^snapshot: "):
        read(body, ["A"])


def test_a_minute_is_given_when_it_was_asked_for_after_its_end() -> None:
    """Settled two seconds after; a day-old minute, and one of the future, are never bars."""
    end = T0 * MS_NS + MINUTE_NS
    closing = Closing(["A"], T0 * MS_NS + 2 * NANOSECONDS, 2 * NANOSECONDS)
    assert closing.looked("A", T0 * MS_NS, end + NANOSECONDS).kind == "forming"
    assert closing.looked("A", T0 * MS_NS - 1440 * MINUTE_NS, end + 2 * NANOSECONDS).kind == "same"
    assert closing.looked("A", None, end + 2 * NANOSECONDS).kind == "missing"
    assert closing.looked("A", T0 * MS_NS, end + 2 * NANOSECONDS).kind == "new"
    assert closing.looked("A", T0 * MS_NS, end + 3 * NANOSECONDS).kind == "same"
    far = closing.looked("A", end + 99 * MINUTE_NS, end + 3 * NANOSECONDS)
    assert (far.kind, far.gap) == ("forming", None)


def test_a_gap_is_told_once_until_history_fails() -> None:
    closing = Closing(["A"], T0 * MS_NS + 2 * NANOSECONDS, 2 * NANOSECONDS)
    start = T0 * MS_NS
    now = start + 3 * MINUTE_NS + 2 * NANOSECONDS
    assert closing.looked("A", start + 2 * MINUTE_NS, now).gap == (start, start + 3 * MINUTE_NS)
    assert closing.looked("A", start + 2 * MINUTE_NS, now).gap is None
    closing.failed("A")
    assert closing.looked("A", start + 2 * MINUTE_NS, now).gap == (start, start + 3 * MINUTE_NS)
    # The newest of the three is not yet in history: it may still come.
    closing.filled("A", start, start + 3 * MINUTE_NS)
    assert closing.looked("A", start + 2 * MINUTE_NS, now).kind == "new"


def test_pairs_have_the_names_of_massive() -> None:
    assert [ticker_of(s) for s in ("AAPL", "BRK.B", "BTC/USD", "X:ETHUSD")] == [
        "AAPL",
        "BRK.B",
        "X:BTCUSD",
        "X:ETHUSD",
    ]


class HandClock:
    """A clock that stands still until it is told, three seconds after a minute's begin."""

    def __init__(self) -> None:
        self.seconds = 3.0

    def now_ns(self) -> int:
        return T0 * MS_NS + round(self.seconds * NANOSECONDS)

    def monotonic(self) -> float:
        return self.seconds


class Told(Protocol):
    """Whatever tells the wall time."""

    def now_ns(self) -> int: ...


class SnapshotServer(MassiveServer):
    """Has one minute after the other of each ticker, the newest one forming."""

    def __init__(self, clock: Told) -> None:
        super().__init__()
        self.clock = clock
        self.unknown: set[str] = set()

    def answer(self, path: str) -> Response:
        minute, passed = divmod(self.clock.now_ns() // MS_NS - T0, MINUTE_MS)
        where = urlsplit(path)
        if "/snapshot/" not in where.path:
            past = {T0 + n * MINUTE_MS: bar(T0 + n * MINUTE_MS) for n in range(minute)}
            self.bars = dict.fromkeys(("AAPL", "X:BTCUSD", "MSFT"), past)
            return super().answer(path)
        forming = bar(T0 + minute * MINUTE_MS) | {"v": passed / 1000}
        wanted = parse_qs(where.query)["tickers"][0].split(",")
        told = [{"ticker": ticker, "min": forming} for ticker in wanted if ticker not in self.unknown]
        return answered(200, {}, json.dumps({"status": "OK", "tickers": told}).encode())


class AlwaysOpen:
    """A stock market that never closes."""

    def open_since(self, _symbol: str, _now_ns: int) -> int:
        return 0


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def server(clock: HandClock) -> AsyncIterator[SnapshotServer]:
    made = SnapshotServer(clock)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def provider(
    server: SnapshotServer, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PollingProvider]:
    monkeypatch.setattr("heliograph.common.http_retry.PAUSE", lambda _: 0.0)

    async def pause(seconds: float) -> None:
        while any(task.get_name() == "poll call" for task in asyncio.all_tasks()):
            await asyncio.sleep(0.001)
        clock.seconds += seconds

    # The library of the calendar takes seconds to load; the hours themselves have their tests.
    monkeypatch.setattr(polling, "Market", AlwaysOpen)
    made = PollingProvider(settings(server), clock, pause)
    yield made
    await made.close()


def settings(server: SnapshotServer, **more: Any) -> FetcherSettings:
    fields: dict[str, Any] = {
        "provider": "massive-polling",
        "symbols": SYMBOLS,
        "massive_api_key": KEY,
    } | more
    rate: dict[str, Any] = {
        "massive_rate": 1000,
        "massive_burst": 1000,
        "massive_rest_url": f"http://{server.host}",
    }
    return FetcherSettings(**(rate | fields))


async def test_one_call_asks_for_many(provider: PollingProvider, server: SnapshotServer) -> None:
    server.unknown = {"IBM"}
    assert set(await provider.look(["AAPL", "MSFT", "IBM"])) == {"AAPL", "MSFT"}
    assert set(await provider.look(["BTC/USD"])) == {"BTC/USD"}
    assert server.asked == [
        "/v2/snapshot/locale/us/markets/stocks/tickers?tickers=AAPL%2CMSFT%2CIBM",
        "/v2/snapshot/locale/global/markets/crypto/tickers?tickers=X%3ABTCUSD",
    ]
    assert server.keys == {f"Bearer {KEY}"}


async def test_what_may_pass_is_tried_again(provider: PollingProvider, server: SnapshotServer) -> None:
    server.faults.extend([(429, {"Retry-After": "0"}, b""), (500, {}, b"")])
    assert set(await provider.look(["AAPL"])) == {"AAPL"}
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ((200, {}, b"<html>"), UnavailableError, "snapshot: "),
        ((404, {}, b"{}"), UnavailableError, "refused for 1 symbols from AAPL on"),
        ((401, {}, b"{}"), ConfigError, "MASSIVE_API_KEY"),
    ],
)
async def test_what_cannot_pass_is_told(
    provider: PollingProvider,
    server: SnapshotServer,
    fault: tuple[int, dict[str, str], bytes],
    error: type[Exception],
    said: str,
) -> None:
    server.faults.append(fault)
    with pytest.raises(error, match=said):
        await provider.look(["AAPL"])
    assert len(server.asked) == 1


async def bars_of(
    provider: PollingProvider, symbols: list[str], wanted: Callable[[dict[str, list[int]]], bool]
) -> dict[str, list[int]]:
    """The numbers of the minutes that a stream gives of each symbol, until they are as wanted."""
    found: dict[str, list[int]] = {symbol: [] for symbol in symbols}
    async with aclosing(provider.stream(symbols)) as stream:
        assert not len((await anext(stream)).ts)
        while not wanted(found):
            rows = await anext(stream)
            assert set(rows.volume.tolist()) <= {500.0}, "a minute that had not closed"
            for code, ts in zip(rows.code, rows.ts, strict=True):
                found[rows.symbols[code]].append((int(ts) // MS_NS - T0) // MINUTE_MS)
    return found


async def test_minutes_come_once_and_complete_over_two_streams(provider: PollingProvider) -> None:
    """The symbols change in between: those that stay miss nothing."""
    first = await bars_of(provider, ["AAPL"], lambda found: len(found["AAPL"]) >= 2)
    second = await bars_of(provider, SYMBOLS, lambda found: min(map(len, found.values())) >= 2)
    numbers = first["AAPL"] + second["AAPL"]
    assert numbers == list(range(len(numbers)))
    assert second["BTC/USD"] == list(range(second["BTC/USD"][0], second["BTC/USD"][-1] + 1))


async def test_an_outage_ends_the_stream(provider: PollingProvider, server: SnapshotServer) -> None:
    server.away = True
    async with aclosing(provider.stream(["AAPL"])) as stream:
        await anext(stream)
        with pytest.raises(UnavailableError, match="5 polls in a row failed"):
            await anext(stream)
    server.away = False


async def test_it_is_chosen_by_its_name_and_follows_its_settings(
    server: SnapshotServer, clock: HandClock
) -> None:
    chosen = settings(
        server, poll_high=["XOM"], poll_high_s=7, poll_volatile=[[9, 0.25]], poll_call_symbols=3
    )
    made = LIVE["massive-polling"](chosen, clock)
    assert (made.name, made.interval) == (polling.NAME, "1m")
    rules = polling.rules_of(chosen)
    assert rules.high == {"XOM"}
    assert rules.pace.intervals == (7, 15, 60)
    assert rules.pace.volatile == ((9, 0.25),)
    assert rules.call_symbols == 3
    await made.close()
