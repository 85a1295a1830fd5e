"""The WebSocket over the real bus: what is published arrives; a slow client harms nobody."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from heliograph.common.bus import Bus
from heliograph.common.events import (
    AgentProgress,
    Alert,
    Outcome,
    Prediction,
    Reason,
    Signal,
    Verdict,
    encode,
)
from heliograph.gateway.service import GatewayService

Publish = Callable[..., Awaitable[None]]


@asynccontextmanager
async def listening(
    gateway: GatewayService, query: str = "", **options: Any
) -> AsyncIterator[ClientConnection]:
    """A client that the hub knows."""
    before = (await gateway.status())["clients"]
    async with connect(f"{gateway.url.replace('http', 'ws')}/live{query}", **options) as client:
        async with asyncio.timeout(30):
            while (await gateway.status())["clients"] == before:
                await asyncio.sleep(0.01)
        yield client


async def messages(client: ClientConnection, count: int) -> list[dict[str, Any]]:
    """The next messages, out of as many frames as they take."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += json.loads(await client.recv())
    return found


async def read_to_the_end(client: ClientConnection) -> None:
    """Take whatever comes until the connection is closed, which raises."""
    while True:
        await client.recv()


async def test_signal_reason_and_outcome_arrive_as_they_come(
    gateway: GatewayService,
    publish: Publish,
    make_signal: Callable[..., Signal],
    make_reason: Callable[..., Reason],
    make_outcome: Callable[..., Outcome],
) -> None:
    signal = make_signal("BRK.B")
    async with listening(gateway) as client:
        await publish(signal)
        [first] = await messages(client, 1)
        await publish(make_reason(signal), make_outcome(signal))
        rest = await messages(client, 2)
    assert first["type"] == "signal"
    assert first["data"]["symbol"] == "BRK.B"
    assert first["data"]["sha256"] == signal.sha256
    assert {m["type"] for m in rest} == {"reason", "outcome"}
    assert all(m["data"]["signal"] == signal.id for m in rest)


@pytest.mark.parametrize("symbol", ["BRK.B", "BTC/USD", "A B", "<script>alert(1)</script>"])
async def test_a_client_may_ask_for_one_symbol(
    gateway: GatewayService, publish: Publish, make_signal: Callable[..., Signal], symbol: str
) -> None:
    async with listening(gateway, f"?symbol={quote(symbol, safe='')}") as client:
        await publish(make_signal("AAPL"), make_signal(symbol))
        [message] = await messages(client, 1)
    assert message["data"]["symbol"] == symbol


async def test_every_gateway_sees_every_event_of_every_shard(
    gateway: GatewayService, publish: Publish, make_signal: Callable[..., Signal]
) -> None:
    symbols = {f"S{n}" for n in range(60)}
    async with listening(gateway) as one, listening(gateway) as two:
        await publish(*(make_signal(s) for s in symbols))
        for client in (one, two):
            assert {m["data"]["symbol"] for m in await messages(client, 60)} == symbols


async def test_a_burst_is_cut_to_its_newest_and_says_so(
    gateway: GatewayService, publish: Publish, make_signal: Callable[..., Signal]
) -> None:
    signals = [make_signal("A", day=n) for n in range(3000)]
    found: list[dict[str, Any]] = []
    async with listening(gateway) as client:
        await publish(*signals)
        while not found or found[-1]["data"].get("id") != signals[-1].id:
            frame = await messages(client, 1)
            assert len(frame) <= 101
            found += frame
    skipped = sum(m["data"]["count"] for m in found if m["type"] == "skipped")
    shown = [m["data"]["id"] for m in found if m["type"] == "signal"]
    assert skipped > 0
    assert skipped + len(shown) == len(signals)
    assert shown == [s.id for s in signals if s.id in set(shown)]


async def test_a_slow_client_is_closed_while_a_fast_one_goes_on(
    gateway: GatewayService,
    publish: Publish,
    make_signal: Callable[..., Signal],
    make_reason: Callable[..., Reason],
) -> None:
    signal = make_signal()
    reason = make_reason(signal, "long text " * 2000)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    narrow.connect(("127.0.0.1", int(gateway.url.rsplit(":", 1)[1])))
    narrow.settimeout(0)
    got = 0
    async with (
        listening(gateway) as fast,
        listening(gateway, sock=narrow, max_queue=1, ping_interval=None, close_timeout=0.2) as slow,
    ):
        async with asyncio.timeout(40):
            while (await gateway.status())["dropped_clients"] == 0:
                await publish(*[reason] * 100)
                got += len(await messages(fast, 1))
        await publish(signal)
        found = await messages(fast, 1)
        while found[-1]["type"] != "signal":
            found = await messages(fast, 1)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(read_to_the_end(slow), 20)
    assert slow.close_code == 1013
    assert got > 0
    assert (await gateway.status())["dropped_clients"] == 1


@pytest.mark.parametrize("symbol", ["%00", "X" * 65, ""])
async def test_a_bad_symbol_is_refused_with_a_reason(gateway: GatewayService, symbol: str) -> None:
    async with connect(f"{gateway.url.replace('http', 'ws')}/live?symbol={symbol}") as client:
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(client.recv(), 30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert closed.value.rcvd.reason.startswith("symbol: ")


async def test_more_clients_than_allowed_are_told_to_try_later(gateway: GatewayService) -> None:
    url = f"{gateway.url.replace('http', 'ws')}/live"
    clients = [await connect(url) for _ in range(6)]
    async with asyncio.timeout(30):
        while (await gateway.status())["clients"] < 6:
            await asyncio.sleep(0.01)
    async with connect(url) as late:
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(late.recv(), 30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013
    for client in clients:
        await client.close()


@pytest.mark.parametrize(
    ("origin", "allowed"), [("own", True), ("http://evil.example", False), ("null", False)]
)
async def test_only_the_gateways_own_page_may_open_a_socket(
    gateway: GatewayService, origin: str, *, allowed: bool
) -> None:
    url = f"{gateway.url.replace('http', 'ws')}/live"
    header = gateway.url if origin == "own" else origin
    if allowed:
        async with connect(url, origin=Origin(header)):
            return
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, origin=Origin(header)):
            pass
    assert refused.value.response.status_code == 403


async def test_what_is_no_event_goes_to_nobody(
    gateway: GatewayService, bus: Bus, publish: Publish, make_signal: Callable[..., Signal]
) -> None:
    async with listening(gateway) as client:
        await bus.client.publish("signal.0.X", b"not json")
        await bus.client.publish("signal.0.X", b'{"kind":"signal"},{"kind":"signal"}')
        await publish(make_signal("GOOD"))
        [message] = await messages(client, 1)
    assert message["data"]["symbol"] == "GOOD"


async def test_events_come_again_after_the_bus_was_away(
    gateway: GatewayService,
    nats_server: Any,
    bus: Bus,
    publish: Publish,
    make_signal: Callable[..., Signal],
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    async def back() -> bool:
        return bus.generation > 0 and gateway._bus.generation > 0

    async with listening(gateway) as client:
        nats_server.stop()
        nats_server.start()
        await eventually(back)
        arrived = asyncio.create_task(messages(client, 1))
        while not arrived.done():
            await publish(make_signal("AGAIN"))
            await asyncio.wait([arrived], timeout=0.1)
    assert arrived.result()[0]["data"]["symbol"] == "AGAIN"


async def test_a_client_that_talks_is_ignored_and_one_that_shouts_is_closed(
    gateway: GatewayService, publish: Publish, make_signal: Callable[..., Signal]
) -> None:
    async with listening(gateway) as client:
        await client.send("hello")
        await publish(make_signal("A"))
        assert len(await messages(client, 1)) == 1
        await client.send("x" * 10_000)
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(client.recv(), 30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def test_a_client_chooses_kinds_and_a_run(
    gateway: GatewayService, bus: Bus, publish: Publish, make_signal: Callable[..., Signal]
) -> None:
    said = Prediction(
        agent="technicals", signal="bullish", confidence=0.5, reasoning="up", by="glm", prompt="p", answer="a"
    )

    def of_run(run: str) -> list[tuple[str, bytes]]:
        step = AgentProgress(id="1" * 16, ts=1, run=run, agent="risk", ticker="A", status="done")
        verdict = Verdict(
            id="2" * 16, ts=1, run=run, ticker="A", direction=1, conviction=0.5, agents=1, predictions=[said]
        )
        return [
            (f"analysis.{run}.risk", encode(step)),
            (f"analysis.{run}.portfolio_manager", encode(verdict)),
        ]

    alert = Alert(id="3" * 16, ts=1, name="X", severity="warning", status="firing", summary="s")
    async with (
        listening(gateway, "?kinds=agent_progress,verdict&run=r2") as panel,
        listening(gateway, "?kinds=signal,alert&symbol=B") as one,
        listening(gateway) as plain,
    ):
        for subject, data in (*of_run("r1"), *of_run("r2"), ("alert.X", encode(alert))):
            await bus.client.publish(subject, data)
        await publish(make_signal("A"), make_signal("B"))
        step, verdict = await messages(panel, 2)
        told = await messages(one, 2)
        signals = await messages(plain, 2)
    assert (step["type"], step["data"]["run"]) == ("agent_progress", "r2")
    assert (verdict["type"], verdict["data"]["run"]) == ("verdict", "r2")
    assert {verdict["data"]["predictions"][0][name] for name in ("prompt", "answer")} == {""}
    # Two subscriptions: which comes first is not said.
    assert {m["type"]: m["data"].get("symbol") for m in told} == {"alert": None, "signal": "B"}
    assert [m["data"]["symbol"] for m in signals] == ["A", "B"]


@pytest.mark.parametrize("query", ["?kinds=signal,bars", "?kinds=", "?run=a%20b"])
async def test_a_bad_wish_is_refused_with_a_reason(gateway: GatewayService, query: str) -> None:
    async with connect(f"{gateway.url.replace('http', 'ws')}/live{query}") as client:
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(client.recv(), 30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert "expected" in closed.value.rcvd.reason
