"""What the API answers on results and operations, out of what the owners say."""

from typing import Any

import httpx
import pytest

from heliograph.common.bus import Bus, Message
from heliograph.common.events import Alert, encode
from heliograph.gateway import checkup
from heliograph.gateway.records import ConsumerLag, Replica, StreamState, System

from .owners_of_results import DAY, GROUP, KNOWN, OPEN, RUN, respond

Asked = list[tuple[str, dict[str, Any]]]


@pytest.fixture
async def asked(bus: Bus) -> Asked:
    """The owners answer; what they were asked."""
    found: Asked = []
    await respond(bus, found)
    return found


async def got(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_results(client: httpx.AsyncClient, asked: Asked) -> None:
    page = await got(
        client, "/api/outcomes?symbol=AAPL&result=win&before=9&before_id=0123456789abcdef&limit=3"
    )
    assert page["outcomes"][0]["grade"] == "HIGH"
    assert asked[-1][1] == {
        "limit": 3,
        "symbol": "AAPL",
        "result": "win",
        "before": 9,
        "before_id": "0123456789abcdef",
    }
    first, second = (await got(client, "/api/symbols"))["symbols"]
    assert (first["symbol"], first["last_close"], first["last_close_ts"]) == ("AAPL", 101.5, 9 * DAY)
    assert (second["symbol"], second["last_close"]) == ("BRK.B", None)
    assert [s["symbol"] for s in (await got(client, "/api/symbols?after=AAPL"))["symbols"]] == ["BRK.B"]
    found = await got(client, "/api/performance?strategy=default@2&since=1&until=5")
    assert found["statistics"] == GROUP
    assert [found[f"by_{name}"][0]["key"] for name in ("regime", "bucket", "action", "strategy")] == [
        "regime",
        "bucket",
        "action",
        "strategy",
    ]
    assert (found["days"][0]["cumulative_net_r"], found["max_drawdown_r"]) == (1.0, 1.0)
    assert ("tracker.performance", {"strategy": "default@2", "since": 1, "until": 5}) in asked
    (one,) = (await got(client, "/api/calibration"))["calibrations"]
    some, none = one["trial"]["candidate"]["bins"]
    # Wilson's interval of 30 of 40, as in any table of it.
    assert (round(some["win_low"], 1), round(some["win_high"], 1)) == (59.8, 85.8)
    assert none["win_low"] is None
    assert one["published"]["calibrated"] is None
    sources = await got(client, "/api/sources?last=50")
    assert sources["sources"][0]["all"]["hit_rate"] == 0.75
    assert sources["providers"] == []
    assert (await got(client, f"/api/verify/{KNOWN}"))["checks"][1]["ok"] is None
    assert (await client.get("/api/verify/0000000000000000")).status_code == 404


async def test_open_signals(client: httpx.AsyncClient, asked: Asked) -> None:
    found = await got(client, "/api/positions?symbol=AAPL&limit=7")
    assert asked[-1] == ("tracker.open", {"limit": 7, "symbol": "AAPL"})
    assert found["positions"] == [OPEN]
    assert [found[name] for name in ("total", "ahead", "pnl", "r_multiple", "missing_shards")] == [
        2,
        1,
        0.5,
        0.2,
        [],
    ]
    assert (await got(client, "/api/positions?symbol=BRK.B"))["positions"] == []
    assert asked[-1][1] == {"limit": 10, "symbol": "BRK.B"}


@pytest.mark.parametrize(
    ("path", "asked_for", "field", "value"),
    [
        ("signals?days=7", ("archiver.daily_signals", {"days": 7}), "buys", 3),
        ("symbols?limit=3", ("archiver.performance", {"days": 30, "limit": 3}), "symbol", "AAPL"),
        ("confidence", ("archiver.confidence_buckets", {"days": 30}), "bucket", 80),
        ("sources", ("archiver.reliability", {"days": 30}), "hit_rate", 0.6667),
        ("spend/hours", ("archiver.spend", {"days": 30}), "hour", "1970-01-11 00:00:00"),
        ("spend/days?days=90", ("archiver.spend_days", {"days": 90}), "cost", 0.002),
        ("spend/signals", ("archiver.spend_signals", {"days": 30, "limit": 100}), "signal", KNOWN),
    ],
)
async def test_the_archives_sums_of_a_period(
    client: httpx.AsyncClient, asked: Asked, path: str, asked_for: tuple[str, Any], field: str, value: object
) -> None:
    (row,) = await got(client, f"/api/history/{path}")
    assert row[field] == value
    assert asked == [asked_for]


async def test_without_a_tracker_nothing_is_known_of_open_signals(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/positions")
    assert answer.status_code == 503
    assert "no tracker answers" in answer.json()["error"]


async def test_runs_and_spending(client: httpx.AsyncClient, asked: Asked) -> None:
    begun = await client.post("/api/run", json={"tickers": ["BRK.B"], "from": "2025-01-01", "run": "x1"})
    assert begun.status_code == 202
    assert begun.json()["stream"] == f"/api/runs/{RUN}"
    assert asked[-1][1] == {"tickers": ["BRK.B"], "from": "2025-01-01", "run": "x1"}
    held = {"cash": 5.0, "margin_requirement": 0.5, "positions": {"BRK.B": {"long": 3, "short": 0}}}
    await client.post("/api/run", json={"tickers": ["BRK.B"], "portfolio": held})
    assert asked[-1][1]["portfolio"] == held
    refused = await client.post("/api/run", json={"tickers": ["NONE"]})
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        "tickers: 'NONE', expected a known company",
    )
    assert (await got(client, "/api/runs"))["runs"][0]["state"] == "running"
    one = await got(client, f"/api/runs/{RUN}")
    assert one["progress"][0]["agent"] == "technicals"
    assert one["verdicts"][0]["predictions"][0]["signal"] == "bullish"
    assert (await client.get("/api/runs/other")).status_code == 404
    assert (await client.get("/api/runs/a%20b")).status_code == 400
    spend = await got(client, "/api/spend")
    assert (spend["budgets"][0]["left"], spend["hit_rate"]) == (4.5, None)


async def test_alerts_fire_and_are_over(client: httpx.AsyncClient, bus: Bus) -> None:
    def alert(number: int, name: str, status: Any, service: str, **more: Any) -> Message:
        event = Alert(
            id=f"{number:016x}",
            ts=number,
            name=name,
            severity="critical",
            status=status,
            summary=f"{name} of {service}",
            labels={"service": service},
            **more,
        )
        return Message(subject=f"alert.{name}", data=encode(event), msg_id=event.id)

    await bus.publish(
        [
            alert(1, "ServiceDown", "firing", "tracker", value=1.5, remedy="start it"),
            alert(2, "ServiceDown", "firing", "gateway"),
            alert(3, "ServiceDown", "firing", "tracker", value=2.5, remedy="start it"),
            alert(4, "ServiceDown", "resolved", "gateway"),
            alert(5, "ServiceDown", "resolved", "gateway"),
            Message(subject="alert.Odd", data=b"{}", msg_id="odd"),
        ]
    )
    firing, over = (await got(client, "/api/alerts"))["alerts"]
    assert (firing["state"], firing["since_ts"], firing["value"], firing["remedy"]) == (
        "firing",
        1,
        2.5,
        "start it",
    )
    assert firing["labels"] == {"service": "tracker"}
    assert (over["state"], over["since_ts"], over["ended_ts"]) == ("resolved", 2, 4)
    assert [a["id"] for a in (await got(client, "/api/alerts?state=firing"))["alerts"]] == [firing["id"]]
    assert (await client.get("/api/alerts?state=odd")).status_code == 400


async def test_health_by_level(client: httpx.AsyncClient, asked: Asked) -> None:
    one = await got(client, "/api/health?level=1")
    assert one == {
        "status": "pass",
        "level": 1,
        "checks": [{"level": 1, "name": "bus", "state": "pass", "detail": "connected"}],
    }
    three = await got(client, "/api/health?level=3")
    assert three["status"] == "fail"
    down = [check["name"] for check in three["checks"] if check["state"] == "fail"]
    assert down == ["fetcher", "consensus", "reasoning", "tracker", "archiver"]
    assert [(check["name"], check["state"]) for check in three["checks"][-3:]] == [
        ("outcomes", "pass"),
        ("calibration", "pass"),
        ("record", "pass"),
    ]
    assert three["checks"][-1]["detail"] == "0 refused changes"
    assert (await client.get("/api/health?level=4")).status_code == 400


def system(**changes: Any) -> System:
    services = ("fetcher", "consensus", "reasoning", "tracker", "archiver")
    replicas = [
        Replica(
            service=name,
            member=f"{name}-1",
            shards=[0, 1],
            status={"health": changes.get("health", "healthy")},
        )
        for name in services
    ]
    lags = [ConsumerLag(service="tracker", lag=changes.get("lag", 3), shards={"0": 3})]
    return System(
        shards=changes.get("shards", 2),
        replicas=[*replicas, *changes.get("more", [])],
        streams=[StreamState(name="SIGNAL", messages=9, bytes=9, consumers=lags)],
    )


def test_what_is_wrong_is_named() -> None:
    assert all(check.state == "pass" for check in checkup.services(system()))
    sick = Replica(service="tracker", member="tracker-2", ready=False, problems={"postgres": "away"})
    for found, expected in (
        (system(more=[sick]), "postgres: away"),
        (system(shards=3), "nobody has 2"),
        (system(health="degraded"), "degraded: it fails"),
        (system(lag=10_001), "10,001 messages wait, expected at most 10,000"),
    ):
        failed = [check for check in checkup.services(found) if check.state == "fail"]
        assert expected in failed[0].detail
    old = Replica(service="archiver", member="a", shards=[0], status={"archive_age_s": 90_000})
    wrong = Replica(
        service="tracker", member="t", status={"integrity": {"sample": {"rows": 5, "findings": 1}}}
    )
    refused = Replica(service="reasoning", member="r", status={"keys": {"GLM_API_KEY": "refused"}})
    archive, record, key = checkup.depth(System(shards=1, replicas=[old, wrong, refused], streams=[]))
    assert (key.name, key.state) == ("keys of r", "fail")
    assert archive.detail == "90,000 s since the last run, expected at most 86,400"
    assert record.detail.startswith("1 findings")
    fresh = [Replica(service=name, member="x", shards=[0]) for name in ("archiver", "tracker")]
    assert [c.state for c in checkup.depth(System(shards=1, replicas=fresh, streams=[]))] == ["skipped"] * 2


async def test_the_newest_signal(client: httpx.AsyncClient, owners: Any, make_signal: Any) -> None:
    assert (await client.get("/api/signals/latest")).status_code == 404
    owners.add(make_signal("AAPL", day=1))
    owners.add(make_signal("BRK.B", day=2))
    assert (await got(client, "/api/signals/latest"))["symbol"] == "BRK.B"
    assert (await got(client, "/api/signals/latest?symbol=AAPL"))["symbol"] == "AAPL"
    assert (await client.get("/api/signals/latest?symbol=NONE")).status_code == 404
    assert (await got(client, "/api/signals/stats"))["signals"] == 2
    assert (await client.get("/api/signals/latest?symbol=")).status_code == 400


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/outcomes?result=draw", "result: 'draw'"),
        ("/api/outcomes?before_id=0123456789abcdef", "expected together with before"),
        ("/api/positions?limit=101", "limit: '101', expected int <= 100"),
        ("/api/positions?symbol=", "symbol: ''"),
        ("/api/history/signals?days=0", "days: '0'"),
        ("/api/history/spend/signals?limit=1001", "limit: '1001', expected int <= 1000"),
        ("/api/symbols?limit=501", "limit: '501', expected int <= 500"),
        ("/api/symbols?after=", "symbol: ''"),
        ("/api/performance?since=5&until=4", "until: 4, expected at least since (5)"),
        ("/api/performance?strategy=", "strategy: ''"),
        ("/api/verify/xyz", "expected 16 hex digits"),
        ("/api/runs?limit=0", "limit: '0'"),
        ("/api/spend?x=1", "x: an unknown parameter"),
    ],
)
async def test_bad_parameters_ask_nobody(
    client: httpx.AsyncClient, asked: Asked, path: str, expected: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 400
    assert expected in answer.json()["error"]
    assert asked == []
