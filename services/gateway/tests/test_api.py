"""The REST API over the real bus."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import openapi_spec_validator
import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from heliograph.common.bus import Bus
from heliograph.common.events import Outcome, Reason, Signal
from heliograph.gateway.service import GatewayService

SIGNAL_ID = "0123456789abcdef"
SCRIPT = "<script>alert(1)</script>"


async def test_signals_come_newest_first_with_reason_and_outcome(
    client: httpx.AsyncClient,
    owners: Any,
    make_signal: Callable[..., Signal],
    make_reason: Callable[..., Reason],
    make_outcome: Callable[..., Outcome],
) -> None:
    old, new = make_signal(day=1), make_signal(day=2)
    owners.add(old, make_reason(old), make_outcome(old))
    owners.add(new)
    found = (await client.get("/api/signals")).raise_for_status().json()["signals"]
    assert [s["id"] for s in found] == [new.id, old.id]
    assert found[0]["reason"] is None
    assert found[1]["reason"]["text"] == "Close above both averages."
    assert found[1]["outcome"]["r_multiple"] == 2.0
    assert found[1]["votes"][0] == {
        "source": "trend",
        "direction": 1,
        "confidence": 0.9,
        "weight": 0.6,
        "age_ns": 0,
    }


async def test_pages_follow_each_other_where_times_are_equal(
    client: httpx.AsyncClient, owners: Any, make_signal: Callable[..., Signal]
) -> None:
    symbols = [f"S{n}" for n in range(25)]
    for symbol in symbols:
        owners.add(make_signal(symbol))
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while page := (await client.get("/api/signals", params={"limit": 7, **cursor})).json()["signals"]:
        seen += [s["symbol"] for s in page]
        cursor = {"before": page[-1]["ts"], "before_id": page[-1]["id"]}
    assert sorted(seen) == sorted(symbols)


@pytest.mark.parametrize("symbol", ["BRK.B", "BTC/USD", "A B", SCRIPT, "Ω&x=1#?"])
async def test_a_symbol_travels_as_it_is(
    client: httpx.AsyncClient, owners: Any, make_signal: Callable[..., Signal], symbol: str
) -> None:
    owners.add(make_signal(symbol))
    owners.add(make_signal("OTHER"))
    answer = await client.get("/api/signals", params={"symbol": symbol})
    assert [s["symbol"] for s in answer.json()["signals"]] == [symbol]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_one_signal(client: httpx.AsyncClient, owners: Any, make_signal: Callable[..., Signal]) -> None:
    signal = make_signal()
    owners.add(signal)
    found = (await client.get(f"/api/signals/{signal.id}")).raise_for_status().json()
    assert found["sha256"] == signal.sha256
    missing = await client.get(f"/api/signals/{SIGNAL_ID}")
    assert missing.status_code == 404
    assert SIGNAL_ID in missing.json()["error"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/signals?limit=0", "limit: '0', expected int >= 1"),
        ("/api/signals?limit=101", "limit: '101', expected int <= 100"),
        ("/api/signals?limit=ten", "limit: 'ten', expected int"),
        ("/api/signals?before=-1", "before: '-1', expected int >= 0"),
        ("/api/signals?before=9223372036854775808", "before: '9223372036854775808', expected int"),
        (
            "/api/signals?before_id=0123456789abcdef",
            "before_id: '0123456789abcdef', expected together with before",
        ),
        ("/api/signals?before=1&before_id=x", "before_id: 'x', expected 16 hex digits"),
        ("/api/signals?symbol=", "symbol: '', expected 1 to 64 bytes"),
        ("/api/signals?symbol=%00", r"symbol: '\x00', expected"),
        ("/api/signals?symbol=" + "X" * 65, "expected 1 to 64 bytes"),
        ("/api/signals?limt=5", "limt: an unknown parameter, expected before, before_id, limit, symbol"),
        ("/api/signals/xyz", "id: 'xyz', expected 16 hex digits"),
        ("/api/signals/0123456789ABCDEF", "expected 16 hex digits in lower case"),
        ("/api/bars", "symbol"),
        ("/api/bars?symbol=A&limit=5001", "limit: '5001', expected int <= 5000"),
        ("/api/bars?symbol=A&from=2&to=1", "to: 1, expected at least from (2)"),
        ("/api/bars?symbol=A&interval=7m", "interval: '7m' is not one of 1m"),
        ("/api/bars?symbol=A&start=1", "start: an unknown parameter"),
        ("/api/trace", "signal: expected either this or trace_id"),
        ("/api/trace?signal=0123456789abcdef&trace_id=" + "a" * 32, "expected either this or trace_id"),
        ("/api/trace?signal=../../etc", "signal: '../../etc', expected 16 hex digits"),
        ("/api/trace?trace_id=0123", "trace_id: '0123', expected 32 hex digits"),
        ("/api/stats?x=1", "x: an unknown parameter, expected no parameter"),
    ],
)
async def test_a_bad_parameter_is_named_and_asks_nobody(
    client: httpx.AsyncClient, owners: Any, path: str, expected: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 400
    assert expected in answer.json()["error"]
    assert owners.asked == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("POST", "/api/signals", 405), ("GET", "/static/x", 404)],
)
async def test_what_http_refuses_is_json_too(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]


async def test_a_signal_that_was_told_is_waited_for_until_it_is_recorded(
    gateway: GatewayService,
    client: httpx.AsyncClient,
    owners: Any,
    publish: Callable[..., Awaitable[None]],
    make_signal: Callable[..., Signal],
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    signal, never = make_signal("A"), make_signal("B")
    await publish(signal)

    async def heard() -> bool:
        return bool((await gateway.status())["events"])

    async def asked() -> bool:
        return len(owners.asked) > 0

    await eventually(heard)
    asking = asyncio.create_task(client.get(f"/api/signals/{signal.id}"))
    await eventually(asked)
    assert not asking.done()
    owners.add(signal)
    assert (await asking).json()["id"] == signal.id
    assert (await client.get(f"/api/signals/{never.id}")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/signals",
        f"/api/signals/{SIGNAL_ID}",
        "/api/stats",
        "/api/bars?symbol=A",
        f"/api/trace?signal={SIGNAL_ID}",
    ],
)
async def test_an_owner_that_is_away_gives_503(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 503
    assert "query." in answer.json()["error"]
    assert answer.headers["retry-after"] == "1"


async def test_an_answer_that_breaks_the_contract_gives_503(client: httpx.AsyncClient, bus: Bus) -> None:
    async def answer(_: bytes) -> bytes:
        return b'{"signals": [{"id": 7}]}'

    await bus.respond("query.tracker.signals", answer)
    await bus.settled()
    found = await client.get("/api/signals")
    assert found.status_code == 503
    assert "does not fit" in found.json()["error"]


async def test_stats_are_shown_without_the_archive(client: httpx.AsyncClient, bus: Bus, book: Any) -> None:
    async def answer(_: bytes) -> bytes:
        return httpx.Response(200, json=book.stats({})).content

    await bus.respond("query.tracker.stats", answer)
    await bus.settled()
    found = (await client.get("/api/stats")).raise_for_status().json()
    assert found["archived"] is None
    assert found["win_rate"] is None


async def test_stats_are_asked_once_for_many_clients(
    client: httpx.AsyncClient,
    owners: Any,
    make_signal: Callable[..., Signal],
    make_outcome: Callable[..., Outcome],
) -> None:
    signal = make_signal()
    owners.add(signal, None, make_outcome(signal))
    for _ in range(5):
        found = (await client.get("/api/stats")).raise_for_status().json()
    assert found["wins"] == 1
    assert found["win_rate"] == 1.0
    assert found["archived"]["bars"] == 90
    assert [name for name, _ in owners.asked].count("stats") == 1


async def test_bars_and_trace(client: httpx.AsyncClient, owners: Any) -> None:
    bars = (await client.get("/api/bars", params={"symbol": "A", "limit": 5})).raise_for_status().json()
    assert len(bars["ts"]) == len(bars["close"]) == 5
    assert bars["ts"] == sorted(bars["ts"])
    trace = (await client.get("/api/trace", params={"signal": SIGNAL_ID})).raise_for_status().json()
    assert [s["name"] for s in trace["spans"]] == ["fetch bars", "decide", "explain", "record"]
    assert owners.asked[-1] == ("trace", {"signal": SIGNAL_ID})


async def test_system_shows_replicas_shards_and_lags(
    client: httpx.AsyncClient,
    bus: Bus,
    make_signal: Callable[..., Signal],
    publish: Callable[..., Awaitable[None]],
) -> None:
    async def status(_: bytes) -> bytes:
        return (
            b'{"service":"tracker","member":"a1","shards":[0,1],"ready":false,'
            b'"problems":{"postgres":"away"},"probe":"http://x","status":{"rows":3}}'
        )

    async def stranger(_: bytes) -> bytes:
        return b'["what is this"]'

    await bus.respond("status.all", status)
    await bus.respond("status.all", stranger)
    readers = {"archiver-spans": "signal.>"}
    readers |= {f"tracker-{shard}-signals": f"signal.{shard}.>" for shard in range(2)}
    for durable, subject in readers.items():
        config = ConsumerConfig(durable_name=durable, filter_subject=subject, ack_policy=AckPolicy.EXPLICIT)
        await bus.js.add_consumer("SIGNAL", config)
    signals = [make_signal(f"S{n}") for n in range(20)]
    await publish(*signals)
    found = (await client.get("/api/system")).raise_for_status().json()
    assert found["shards"] == 4
    assert [(r["service"], r["shards"], r["problems"]) for r in found["replicas"]] == [
        ("tracker", [0, 1], {"postgres": "away"})
    ]
    [stream] = [s for s in found["streams"] if s["name"] == "SIGNAL"]
    assert stream["messages"] == 20
    archiver, tracker = stream["consumers"]
    assert (archiver["service"], archiver["lag"], archiver["shards"]) == ("archiver", 20, {"": 20})
    assert (tracker["service"], set(tracker["shards"])) == ("tracker", {"0", "1"})
    assert tracker["lag"] == sum(tracker["shards"].values()) > 0


async def test_the_openapi_document_is_valid_and_complete(client: httpx.AsyncClient) -> None:
    document = (await client.get("/schema/openapi.json")).raise_for_status().json()
    openapi_spec_validator.validate(document)
    assert set(document["paths"]) == {
        "/api/signals",
        "/api/signals/latest",
        "/api/signals/stats",
        "/api/signals/{id}",
        "/api/stats",
        "/api/bars",
        "/api/trace",
        "/api/system",
        "/api/outcomes",
        "/api/positions",
        "/api/history/signals",
        "/api/history/symbols",
        "/api/history/confidence",
        "/api/history/sources",
        "/api/history/spend/hours",
        "/api/history/spend/days",
        "/api/history/spend/signals",
        "/api/symbols",
        "/api/performance",
        "/api/calibration",
        "/api/sources",
        "/api/verify/{id}",
        "/api/me",
        "/api/spend",
        "/api/run",
        "/api/runs",
        "/api/runs/{run}",
        "/api/alerts",
        "/api/health",
        "/healthz",
    }
    limit = next(p for p in document["paths"]["/api/signals"]["get"]["parameters"] if p["name"] == "limit")
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"], limit["schema"]["default"]) == (
        1,
        100,
        10,
    )


async def test_health_follows_the_bus(
    client: httpx.AsyncClient, nats_server: Any, eventually: Callable[..., Awaitable[Any]]
) -> None:
    assert (await client.get("/healthz")).json() == {"status": "pass", "problems": {}}
    nats_server.stop()

    async def failing() -> bool:
        answer = await client.get("/healthz")
        return answer.status_code == 503 and "nats" in answer.json()["problems"]

    await eventually(failing)
    nats_server.start()

    async def passing() -> bool:
        return (await client.get("/healthz")).status_code == 200

    await eventually(passing)
