"""Massive: recorded answers, and a server on loopback that fails in every way."""

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
from structlog.testing import capture_logs
from tests.massive_server import KEY, MINUTE_MS, MassiveServer

from heliograph.common import http_retry, metrics
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import ConfigError, InputError, UnavailableError
from heliograph.common.http_retry import RetryBudgetSpentError
from heliograph.common.retry_budget import CALLS_A_RETRY, FLOOR
from heliograph.fetcher.live import rest as rest_module
from heliograph.fetcher.live.massive import MassiveProvider
from heliograph.fetcher.live.massive_wire import frame, page
from heliograph.fetcher.live.rate import Rate, window
from heliograph.fetcher.live.registry import LIVE
from heliograph.fetcher.live.rest import Rest
from heliograph.fetcher.provider import NO_TIME, Rows
from heliograph.fetcher.settings import FetcherSettings

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "payloads" / "massive.json").read_text())
T0 = 1_699_977_600_000
Make = Callable[..., MassiveProvider]


def test_a_recorded_minute_bar() -> None:
    found = frame(json.dumps([RECORDED["minute bar"], RECORDED["second bar"], RECORDED["trade"]]), "s")
    assert (found.rows.symbols, found.garbage, found.statuses) == (["GTE"], 0, [])
    assert found.rows.ts.tolist() == [1_610_144_640 * 10**9]
    bar = [float(getattr(found.rows, n)[0]) for n in ("open", "high", "low", "close", "volume")]
    assert bar == [0.4488, 0.4489, 0.4486, 0.4486, 4110.0]


def test_recorded_pages() -> None:
    found = page(json.dumps(RECORDED["page"]).encode(), "AAPL")
    assert found.rows.ts.tolist() == [1_577_941_200 * 10**9, 1_578_027_600 * 10**9]
    assert found.rows.close.tolist() == [75.0875, 74.3575]
    assert "cursor=" in found.following
    last = page(json.dumps(RECORDED["last page"]).encode(), "AAPL")
    assert (last.following, last.rows.open.tolist()) == ("", [1.5032, 1.4639])
    # An index has no volume: that is for the quality gate to refuse.
    assert np.isnan(page(json.dumps(RECORDED["index page"]).encode(), "I:NDX").rows.volume).all()


@pytest.mark.parametrize("data", ["", "no json", "{}", "5", b"\xff\xfe", "[1"])
def test_what_is_no_message_is_refused(data: str | bytes) -> None:
    with pytest.raises(InputError, match="message: "):
        frame(data, "s")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no", "message"),
        (b"[]", "answer"),
        (b'{"results": 5}', "results"),
        (b'{"results": [], "next_url": 5}', "next_url"),
    ],
)
def test_what_is_no_page_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}: "):
        page(data, "AAPL")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["ev", "sym", "o", "h", "l", "c", "v", "s", "e", "t"]), JSON))
def test_values_of_wrong_types_never_raise(values: dict[str, Any]) -> None:
    found = frame(json.dumps([{"ev": "AM", "sym": "A", **values}]), "s")
    assert len(found.rows.ts) <= 1
    rows = page(json.dumps({"results": [values, 5]}).encode(), "A").rows
    assert len(rows.ts) == 2
    assert rows.ts[1] == NO_TIME


@pytest.mark.parametrize(
    ("rate", "burst", "amount", "seconds"),
    [(5, 10, 10, 2), (0.5, 10, 10, 20), (2, 2, 2, 1), (100, 10, 100, 1)],
)
def test_a_rate_with_a_burst_is_a_window(rate: float, burst: int, amount: int, seconds: int) -> None:
    item = window(rate, burst)
    assert (item.amount, item.get_expiry()) == (amount, seconds)


async def test_beyond_the_burst_requests_wait_for_the_window(redis_server: Any) -> None:
    from redis.asyncio import Redis  # noqa: PLC0415

    redis = Redis.from_url(redis_server.url)
    one, two = (Rate("massive", window(10, 10), redis, SYSTEM_CLOCK) for _ in range(2))
    began = SYSTEM_CLOCK.monotonic()
    await asyncio.gather(*(r.turn() for r in (one, two) for _ in range(6)))
    assert SYSTEM_CLOCK.monotonic() - began > 0.5  # 12 in a window of 10, though neither has made so many
    redis_server.kill()
    await one.turn()
    await redis.aclose()


@pytest.fixture
async def make(server: MassiveServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """A provider that asks the server, without pauses between tries."""
    monkeypatch.setattr(http_retry, "PAUSE", lambda _: 0.0)
    made: list[MassiveProvider] = []

    def provider(**changes: Any) -> MassiveProvider:
        settings = FetcherSettings(
            provider="massive",
            symbols=("AAPL",),
            massive_rate=1000,
            massive_burst=1000,
            massive_rest_url=f"http://{server.host}/",
            **{"massive_api_key": KEY, "massive_stream_url": f"ws://{server.host}/stocks", **changes},
        )
        found = LIVE["massive"](settings, SYSTEM_CLOCK)
        assert isinstance(found, MassiveProvider)
        made.append(found)
        return found

    yield provider
    for provider_ in made:
        await provider_.close()


async def history(provider: MassiveProvider, symbols: tuple[str, ...] = ("AAPL",)) -> list[tuple[str, int]]:
    pages = provider.history(symbols, (T0 - 60 * MINUTE_MS) * 10**6, T0 * 10**6)
    return sorted(
        [(r.symbols[c], t // 10**6) async for r in pages for c, t in zip(r.code, r.ts, strict=True)]
    )


async def test_the_past_comes_in_pages_of_many_symbols(server: MassiveServer, make: Make) -> None:
    symbols = tuple(f"S.{n}" for n in range(12))
    for symbol in symbols:
        for n in range(-20, 3):
            server.happened(symbol, T0 + n * MINUTE_MS)
    server.page = 6
    expected = sorted((s, T0 + n * MINUTE_MS) for s in symbols for n in range(-20, 0))
    assert await history(make(), (*symbols, "UNKNOWN")) == expected


@pytest.mark.parametrize(
    "faults",
    [
        [(500, {}, b"")],
        [(429, {"Retry-After": "0"}, b"{}"), (503, {}, b"")],
    ],
)
async def test_what_may_pass_is_tried_again(server: MassiveServer, make: Make, faults: list[Any]) -> None:
    server.happened("AAPL", T0 - MINUTE_MS)
    server.faults.extend(faults)
    assert await history(make()) == [("AAPL", T0 - MINUTE_MS)]
    assert len(server.asked) == len(faults) + 1


async def test_after_three_tries_it_is_away_and_after_five_failures_left_alone(
    server: MassiveServer, make: Make
) -> None:
    server.faults.extend([(500, {}, b"")] * 100)
    provider = make()
    with pytest.raises(UnavailableError, match="status 500"):
        await history(provider)
    assert len(server.asked) == 3
    with pytest.raises(UnavailableError, match="left alone"):
        await history(provider)
    assert len(server.asked) == 5


async def test_retries_stay_within_their_budget(server: MassiveServer, make: Make) -> None:
    """Every other request fails, so that each question wants one retry: the breaker lets that pass."""
    provider = make()
    failed: dict[int, str] = {}
    for number in range(30):
        server.faults.extend([(503, {}, b""), (200, {}, b'{"results": []}')] * (len(server.faults) < 2))
        try:
            await history(provider)
        except RetryBudgetSpentError as error:
            failed[number] = str(error)
    assert min(failed) == FLOOR + 2
    assert "status 503; not asked again" in failed[FLOOR + 2]
    retries = len(server.asked) - 30
    assert FLOOR < retries <= FLOOR + 30 // CALLS_A_RETRY


async def test_a_provider_that_asks_for_a_long_pause_is_not_asked_again(
    server: MassiveServer, make: Make
) -> None:
    server.faults.append((429, {"Retry-After": "3600"}, b""))
    with pytest.raises(UnavailableError, match="status 429"):
        await history(make())
    assert len(server.asked) == 1


class StandingClock:
    """A clock that goes by `step_s` each time it is looked at."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._now = 0.0

    def now_ns(self) -> int:
        return T0 * 10**6

    def monotonic(self) -> float:
        self._now += self._step_s
        return self._now


@pytest.mark.parametrize(("seconds", "slow"), [(0.0625, 0), (0.3125, 1)])
async def test_a_request_over_the_budget_of_300_ms_is_counted_and_logged(
    server: MassiveServer, seconds: float, slow: int
) -> None:
    clock = StandingClock(seconds)
    rate = Rate("budget", window(1000, 1000), None, SYSTEM_CLOCK)
    rest = Rest("budget", f"http://{server.host}", KEY, "MASSIVE_API_KEY", rate, clock)
    counted = metrics.PROVIDER_SLOW.labels("budget")
    before = counted._value.get()
    with capture_logs() as logs:
        assert await rest.get(f"/v2/aggs/ticker/AAPL/range/1/minute/{T0}/{T0}") is not None
    await rest.close()
    assert counted._value.get() - before == slow
    assert [entry["seconds"] for entry in logs if entry["event"] == "slow provider"] == [0.312] * slow


async def test_a_slow_answer_is_given_up(
    server: MassiveServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_module, "TIMEOUT_S", 0.05)
    server.slow_s = 0.4
    with pytest.raises(UnavailableError, match="TimeoutError"):
        await history(make())


async def test_a_refused_key_names_its_setting(server: MassiveServer, make: Make) -> None:
    server.faults.append((403, {}, json.dumps(RECORDED["not entitled"]).encode()))
    with pytest.raises(ConfigError, match=r"MASSIVE_API_KEY: .*status 403"):
        await history(make())
    with pytest.raises(ConfigError, match="MASSIVE_API_KEY: none"):
        make(massive_api_key="")


async def test_a_question_that_is_refused_has_no_bars(server: MassiveServer, make: Make) -> None:
    server.faults.append((400, {}, b"{}"))
    assert await history(make()) == []


async def test_a_page_that_is_none_is_an_outage(server: MassiveServer, make: Make) -> None:
    server.faults.append((200, {}, b"<html>"))
    with pytest.raises(UnavailableError, match="expected JSON"):
        await history(make())


@pytest.mark.parametrize(
    ("status", "message", "error", "said"),
    [
        ("auth_failed", "authentication failed", ConfigError, "MASSIVE_API_KEY: massive refuses the key"),
        ("error", "not authorized", ConfigError, "MASSIVE_API_KEY: the plan"),
        ("auth_timeout", "authentication timeout", UnavailableError, "auth_timeout"),
        ("max_connections", "Maximum number of websocket connections exceeded.", UnavailableError, "Maximum"),
    ],
)
async def test_what_the_server_says_to_a_key(
    server: MassiveServer, make: Make, status: str, message: str, error: type[Exception], said: str
) -> None:
    server.auth = {"status": status, "message": message}
    with pytest.raises(error, match=said):
        await anext(make().stream(["AAPL"]))


async def test_nobody_there_and_no_address(server: MassiveServer, make: Make) -> None:
    server.away = True
    with pytest.raises(UnavailableError, match="503"):
        await anext(make().stream(["AAPL"]))
    with pytest.raises(UnavailableError, match="massive: "):
        await anext(make(massive_stream_url="ws://127.0.0.1:1").stream(["AAPL"]))


async def next_symbols(stream: AsyncIterator[Rows]) -> list[str]:
    """Those of the next rows that are more than a sign of life."""
    while True:
        rows = await anext(stream)
        if len(rows.ts):
            return rows.symbols


async def test_the_connection_is_kept_while_the_symbols_change(server: MassiveServer, make: Make) -> None:
    provider = make()
    async with aclosing(provider.stream(["A", "B"])) as stream:
        assert not len((await anext(stream)).ts)
        await server.send(server.happened("A", T0))
        assert await next_symbols(stream) == ["A"]
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    # Of what stays nothing is missed between two streams.
    await server.send(server.happened("B", T0))
    async with aclosing(provider.stream(["B", "C"])) as stream:
        assert await next_symbols(stream) == ["B"]
    assert (server.opened, server.subscribed) == (1, {"AM.B", "AM.C"})
    await server.drop()
    with pytest.raises(UnavailableError, match="closed"):
        async for _ in provider.stream(["B", "C"]):
            pass
    async with aclosing(provider.stream(["B"])) as stream:
        await anext(stream)
    assert server.opened == 2
