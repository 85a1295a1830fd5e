"""Kraken: messages as its documents show them, and a server on loopback that fails in every way."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kraken_server import MINUTE_S, KrakenServer, bar, candle, update

from heliograph.common import http_retry
from heliograph.common.clock import NANOSECONDS, SYSTEM_CLOCK
from heliograph.common.errors import ConfigError, InputError, UnavailableError
from heliograph.fetcher.live import kraken as module
from heliograph.fetcher.live.forming import Forming, newest_of_each
from heliograph.fetcher.live.kraken import KrakenProvider
from heliograph.fetcher.live.kraken_wire import Answer, Candle, errors_of, history, message, pair_of
from heliograph.fetcher.live.registry import LIVE
from heliograph.fetcher.provider import NO_TIME, Rows
from heliograph.fetcher.settings import KRAKEN_SYMBOLS, FetcherSettings

TOLD: dict[str, Any] = json.loads((Path(__file__).parent / "payloads" / "kraken.json").read_text())
T0 = 1_699_977_600
"""A whole minute of the past, seconds."""
BTC = "BTC/USD"
Make = Callable[..., KrakenProvider]


def test_messages_as_the_documents_show_them() -> None:
    assert message(json.dumps(TOLD["status"])).system == "online"
    assert message(json.dumps(TOLD["heartbeat"])) == message(json.dumps(TOLD["pong"])) == message("{}")
    assert message(json.dumps(TOLD["subscribed"])).answer == Answer(
        method="subscribe", symbol=BTC, success=True
    )
    refused = message(json.dumps(TOLD["refused"])).answer
    assert refused is not None
    assert (refused.symbol, refused.success, refused.error) == (
        "XBT/USD",
        False,
        "Currency pair not supported XBT/USD",
    )
    snapshot = message(json.dumps(TOLD["snapshot"]))
    assert (snapshot.snapshot, snapshot.garbage, len(snapshot.candles)) == (True, 0, 2)
    newest = newest_of_each(reversed(snapshot.candles))
    assert [(c.start, c.values[3], c.trades) for c in newest] == [(1_789_062_180 * 10**9, 77340.1, 17)]
    told = message(json.dumps(TOLD["update"]))
    assert not told.snapshot
    assert told.candles[0].start == newest[0].start + MINUTE_S * NANOSECONDS


def test_history_leaves_out_the_running_candle() -> None:
    found = history(json.dumps(TOLD["history"]).encode(), BTC)
    assert [c.start // NANOSECONDS for c in found.candles] == [1688671200, 1688671260, 1688671320]
    assert found.candles[0].values == (30306.1, 30306.2, 30305.7, 30305.7, 3.39243896)
    assert [c.trades for c in found.candles] == [23, 18, 0]
    assert history(json.dumps(TOLD["unknown pair"]).encode(), BTC).errors == ["EQuery:Unknown asset pair"]
    assert errors_of(TOLD["too many"]) == ["EGeneral:Too many requests"]


def test_rest_has_older_names_for_two_currencies() -> None:
    assert [pair_of(s) for s in (BTC, "ETH/BTC", "DOGE/EUR")] == ["XBTUSD", "ETHXBT", "XDGEUR"]


@pytest.mark.parametrize("data", ["", "no json", "[]", "5", b"\xff\xfe"])
def test_what_is_no_message_is_refused(data: str | bytes) -> None:
    with pytest.raises(InputError, match="message: "):
        message(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<html>", "message"),
        (b"[]", "answer"),
        (b'{"error": []}', "result"),
        (b'{"result": {"XXBTZUSD": []}}', "last"),
        (b'{"result": {"last": 5}}', "result"),
    ],
)
def test_what_is_no_history_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}: "):
        history(data, BTC)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("open", "high", "low", "close", "volume", "trades", "interval_begin", "interval")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.lists(JSON, min_size=8, max_size=8), JSON)
def test_values_of_wrong_types_never_raise(values: dict[str, Any], entry: list[Any], other: Any) -> None:
    found = message(json.dumps({"channel": "ohlc", "data": [{"symbol": BTC, **values}, 5]}))
    assert (len(found.candles), found.garbage) == (1, 1)
    message(json.dumps({"channel": "status", "data": other}))
    message(json.dumps({"method": "subscribe", "result": other, "symbol": other, "error": other}))
    told = {"result": {"X": [entry, other], "last": 2**40}}
    assert [c.symbol for c in history(json.dumps(told).encode(), BTC).candles] == [BTC, BTC]


def made(symbol: str, minute: int, close: float = 1.0, trades: float = 1) -> Candle:
    return Candle(symbol, (T0 + minute * MINUTE_S) * NANOSECONDS, (close,) * 5, trades)


def test_a_candle_is_given_when_a_later_one_comes_or_its_minute_has_passed() -> None:
    forming, now = Forming(2 * NANOSECONDS), T0 * NANOSECONDS
    assert forming.take([made("A", 0, 1.0), made("B", 0)], now) == []
    assert forming.take([made("A", 0, 2.0)], now) == []
    assert forming.take([made("A", 1, 3.0)], now) == [made("A", 0, 2.0)]
    late = made("A", 0, 2.5)
    assert forming.take([late], now) == [late]  # For others to tell what it is.
    assert forming.ended(now + 61 * NANOSECONDS) == []
    assert forming.ended(now + 62 * NANOSECONDS) == [made("B", 0)]
    forming.keep({"B"})
    assert forming.ended(now + 999 * NANOSECONDS) == []


def test_minutes_without_trades_are_no_bars_and_wrong_times_are_for_the_gate() -> None:
    forming, now = Forming(0), T0 * NANOSECONDS
    assert forming.take([made("A", 0, trades=0), made("A", 1)], now) == []
    wrong = [Candle("A", NO_TIME, (1.0,) * 5, 1), made("A", 30)]
    assert forming.take(wrong, now) == wrong
    assert forming.take([made("A", 2)], now + 60 * NANOSECONDS) == [made("A", 1)]


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 5)), max_size=40))
def test_whatever_the_order_each_minute_comes_out_whole(told: list[tuple[str, int]]) -> None:
    forming, found = Forming(0), []
    state: dict[tuple[str, int], Candle] = {}
    for number, (symbol, minute) in enumerate(told):
        state[symbol, minute] = made(symbol, minute, float(number))
        found += forming.take([state[symbol, minute]], T0 * NANOSECONDS + 10**12)
    found += forming.ended(T0 * NANOSECONDS + 10**13)
    assert {(c.symbol, c.start) for c in found} == {(c.symbol, c.start) for c in state.values()}
    last = {(c.symbol, c.start): c for c in found}
    assert set(last.values()) == set(state.values())


def test_a_symbol_that_is_no_pair_is_named() -> None:
    for symbol in ("AAPL", "BTC/", "btc/usd"):
        settings = FetcherSettings(provider="kraken", symbols=(symbol,))
        with pytest.raises(ConfigError, match=f"symbols: '{symbol}', expected pairs as `BTC/USD`"):
            LIVE["kraken"](settings, SYSTEM_CLOCK)
    assert FetcherSettings(provider="kraken").symbols == KRAKEN_SYMBOLS


@pytest.fixture
async def make(kraken: KrakenServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """A provider that asks the server, without pauses between tries."""
    monkeypatch.setattr(http_retry, "PAUSE", lambda _: 0.0)
    found: list[KrakenProvider] = []

    def provider(**changes: Any) -> KrakenProvider:
        urls = {
            "kraken_rest_url": f"http://{kraken.host}",
            "kraken_stream_url": f"ws://{kraken.host}/v2",
        }
        settings = FetcherSettings(provider="kraken", kraken_rate=1000, **{**urls, **changes})
        one = LIVE["kraken"](settings, SYSTEM_CLOCK)
        assert isinstance(one, KrakenProvider)
        found.append(one)
        return one

    yield provider
    for one in found:
        await one.close()


async def past(provider: KrakenProvider, *symbols: str, minutes: int = 10) -> list[tuple[str, int]]:
    pages = provider.history(symbols or (BTC,), (T0 - minutes * MINUTE_S) * NANOSECONDS, T0 * NANOSECONDS)
    return sorted([(s, t) async for rows in pages for s, t in told_of(rows)])


def told_of(rows: Rows) -> list[tuple[str, int]]:
    return [(rows.symbols[c], t // NANOSECONDS) for c, t in zip(rows.code, rows.ts.tolist(), strict=True)]


async def test_the_past_is_what_traded_in_closed_minutes(kraken: KrakenServer, make: Make) -> None:
    for symbol in (BTC, "DOGE/USD"):
        for minute in range(-20, 2):
            kraken.happened(symbol, T0 + minute * MINUTE_S, bar())
    kraken.silent[BTC] = {T0 - 3 * MINUTE_S}
    found = await past(make(), BTC, "DOGE/USD", minutes=5)
    minutes = [T0 + n * MINUTE_S for n in range(-5, 0)]
    assert found == [(BTC, t) for t in minutes if t != T0 - 3 * MINUTE_S] + [("DOGE/USD", t) for t in minutes]
    assert kraken.keys == {""}


@pytest.mark.parametrize(
    "fault",
    [
        (500, {}, b""),
        (429, {"Retry-After": "0"}, b"{}"),
        (200, {}, json.dumps(TOLD["too many"]).encode()),
        (200, {}, b'{"error": ["EService:Unavailable"]}'),
    ],
)
async def test_what_may_pass_is_tried_again(kraken: KrakenServer, make: Make, fault: Any) -> None:
    kraken.happened(BTC, T0 - MINUTE_S, bar())
    kraken.faults.extend([fault, fault])
    assert await past(make()) == [(BTC, T0 - MINUTE_S)]
    assert len(kraken.asked) == 3


async def test_what_does_not_pass_is_an_outage_or_names_the_symbol(kraken: KrakenServer, make: Make) -> None:
    kraken.faults.append((200, {}, b"<html>"))
    with pytest.raises(UnavailableError, match="expected JSON"):
        await past(make())
    kraken.faults.append((404, {}, b""))
    with pytest.raises(UnavailableError, match=f"refused for {BTC}"):
        await past(make())
    kraken.unknown = {"NO/USD"}
    with pytest.raises(ConfigError, match="symbols: 'NO/USD': kraken: EQuery:Unknown asset pair"):
        await past(make(), BTC, "NO/USD")
    with pytest.raises(ConfigError, match=r"symbols: 'NO/USD': kraken: Currency pair not supported"):
        await anext(make().stream([BTC, "NO/USD"]))


async def test_maintenance_silence_and_nobody_there_are_outages(
    kraken: KrakenServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    kraken.system = "maintenance"
    with pytest.raises(UnavailableError, match="maintenance"):
        await anext(make().stream([BTC]))
    kraken.system = "online"
    monkeypatch.setattr(module, "SILENCE_S", 0.0)
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    with pytest.raises(UnavailableError, match="heartbeat"):
        async for _ in make().stream([BTC]):
            pass
    kraken.away = True
    with pytest.raises(UnavailableError, match="503"):
        await anext(make().stream([BTC]))
    with pytest.raises(UnavailableError, match="kraken: "):
        await anext(make(kraken_stream_url="ws://127.0.0.1:1").stream([BTC]))


async def test_only_whole_minutes_come_by_the_stream(kraken: KrakenServer, make: Make) -> None:
    kraken.happened(BTC, T0 - 5 * MINUTE_S, bar())
    provider = make(kraken_grace_s=30)
    async with aclosing(provider.stream([BTC, "ETH/USD"])) as stream:
        assert not len((await anext(stream)).ts)
        # The newest candle of the snapshot ended long ago; nothing changes it any more.
        assert told_of(await anext(stream)) == [(BTC, T0 - 5 * MINUTE_S)]
        start = int(SYSTEM_CLOCK.now_ns() // (60 * NANOSECONDS)) * MINUTE_S
        running = candle(BTC, start, bar(1.0))
        before = candle("ETH/USD", start - MINUTE_S, bar(3.0))
        after = candle("ETH/USD", start, bar(9.0))
        await kraken.send("no json", "[]", update(5), update(running), update(before), update(after))
        rows = await anext(stream)
        assert told_of(rows) == [("ETH/USD", start - MINUTE_S)]
        assert np.array_equal(rows.close, [4.0])


async def test_the_connection_is_kept_while_the_symbols_change(kraken: KrakenServer, make: Make) -> None:
    provider = make()
    async with aclosing(provider.stream([BTC, "ETH/USD"])) as stream:
        await anext(stream)
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    await kraken.send(update(candle("ETH/USD", T0, bar())), update(candle(BTC, T0, bar())))
    async with aclosing(provider.stream(["ETH/USD", "DOGE/USD"])) as stream:
        await anext(stream)
        assert ("ETH/USD", T0) in told_of(await anext(stream))
    assert (kraken.opened, kraken.subscribed) == (1, {"ETH/USD", "DOGE/USD"})
    await kraken.drop()
    with pytest.raises(UnavailableError, match="closed"):
        async for _ in provider.stream(["ETH/USD"]):
            pass
    async with aclosing(provider.stream(["ETH/USD"])) as stream:
        await anext(stream)
    assert kraken.opened == 2
