"""A running stack as its users meet it: a subscriber that knows NATS and JSON, the API, traces, commands."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import psycopg
import pytest
from nats.js.api import ConsumerConfig, DeliverPolicy
from tests.running import Running, until

from heliograph.client import connect

EDGES = {
    ("fetcher", "fetch bars", "consensus", "decide"),
    ("consensus", "decide", "reasoning", "explain"),
    ("consensus", "decide", "tracker", "record"),
    ("consensus", "decide", "tracker", "close"),
    ("consensus", "decide", "archiver", "archive"),
    ("reasoning", "explain", "tracker", "record reason"),
    ("tracker", "close", "archiver", "archive"),
}
"""Every hop of a signal's trace: the service and span that cause, the service and span that follow."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, year: Path) -> Iterator[Running]:
    """A stack that goes on after its replay, as `make up` does."""
    started = Running(tmp_path_factory.mktemp("live"), "--speed", "max", "--data", str(year), "--json")
    until(lambda: started.messages("OUTCOME") > 0 or started.process.poll() is not None, "outcomes", 120)
    yield started
    assert started.stop() == 0, started.text()


def database(running: Running) -> psycopg.Connection[Any]:
    """Postgres, as its owner."""
    secret = running.credentials()
    address = running.run_file()["urls"]["postgres"].split("@")[-1]
    return psycopg.connect(f"postgresql://{secret['postgres_user']}:{secret['postgres_password']}@{address}")


def get(running: Running, path: str) -> Any:
    """A JSON answer of the gateway."""
    with urllib.request.urlopen(running.run_file()["urls"]["gateway"] + path, timeout=10) as answer:  # noqa: S310 - ours
        return json.load(answer)


async def test_a_subscriber_with_nats_and_json_replays_yesterday_and_goes_on_live(running: Running) -> None:
    url = running.run_file()["urls"]["nats"]
    client = await nats.connect(url, **running.nats_user("subscriber"))
    since = datetime.now(UTC) - timedelta(days=1)
    config = ConsumerConfig(
        name="yesterday", deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=since
    )
    subscription = await client.jetstream().subscribe(
        "signal.*.BRK%2EB", ordered_consumer=True, config=config
    )
    signal = json.loads((await subscription.next_msg(30)).data)
    assert signal["kind"] == "signal"
    assert signal["symbol"] == "BRK.B"
    assert signal["stop"] < signal["entry"] < signal["target"] or signal["action"] == "SELL"
    live = await client.subscribe("signal.*.LIVE")
    await client.flush()
    operator = await nats.connect(url, **running.nats_user("operator"))
    await operator.publish("signal.0.LIVE", b"{}")
    assert (await live.next_msg(5)).subject == "signal.0.LIVE"
    await operator.close()
    await client.close()


async def test_the_client_gives_every_signal_typed_and_verified(running: Running) -> None:
    url = running.run_file()["urls"]["nats"]
    async with await connect(url, **running.nats_user("subscriber")) as client:
        signals = client.signals(after=0)
        found = [await anext(signals) for _ in range(200)]
        assert [one.seq for one in found] == list(range(1, 201))
        reason = await anext(client.reasons(found[0].event.symbol, after=0))
        assert reason.event.signal in {one.event.id for one in found}
        assert reason.event.text


def test_a_healthy_stack_passes_every_check(running: Running) -> None:
    told: list[str] = []

    def healthy() -> bool:
        asked = running.run("health", "--level", "3", "--json")
        told.append(asked.stdout + asked.stderr)
        found = {check["name"]: check["state"] for check in json.loads(asked.stdout)}
        every = {"python", "processes", "shards", "lag of SIGNAL", "page", "api", "integrity"} <= set(found)
        return every and asked.returncode == 0 and "fail" not in found.values()

    try:
        until(healthy, "a stack in which every check passes", 60)
    except AssertionError:
        pytest.fail(told[-1])


def test_the_page_the_api_and_the_stores_agree(running: Running) -> None:
    page = urllib.request.urlopen(running.run_file()["urls"]["gateway"], timeout=10).read().decode()  # noqa: S310 - ours
    assert "<script" in page
    found = get(running, "/api/signals?limit=5")["signals"]
    assert len(found) == 5
    one = get(running, f"/api/signals/{found[0]['id']}")
    assert one["id"] == found[0]["id"]
    assert get(running, "/api/stats")["signals"] > 0


def test_every_edge_of_the_trace_exists(running: Running) -> None:
    def whole() -> bool:
        answered = get(running, "/api/signals?limit=100")["signals"]
        return any(seen(signal["id"]) >= EDGES for signal in answered if signal["outcome"])

    def seen(signal: str) -> set[tuple[str, str, str, str]]:
        spans = get(running, f"/api/trace?signal={signal}")["spans"]
        assert len({span["trace_id"] for span in spans}) <= 1
        by_id = {span["span_id"]: span for span in spans}
        pairs = ((by_id[s["parent_id"]], s) for s in spans if s["parent_id"] in by_id)
        return {(above["service"], above["name"], s["service"], s["name"]) for above, s in pairs}

    until(whole, "a signal with every edge in its trace", 120)


def test_one_altered_byte_is_named_until_it_is_put_back(running: Running) -> None:
    asked = running.run("verify", "--full", "--json")
    report = json.loads(asked.stdout)
    assert (asked.returncode, report["ok"], report["findings"]) == (0, True, [])
    assert report["rows"] > 100
    with database(running) as connection:
        connection.execute("SET session_replication_role = replica")
        row = connection.execute("SELECT signal, exit FROM outcomes ORDER BY signal LIMIT 1").fetchone()
        assert row is not None
        signal, was = row
        connection.execute("UPDATE outcomes SET exit = exit + 0.01 WHERE signal = %s", [signal])
    with database(running) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("DELETE FROM outcomes WHERE signal = %s", [signal])
    asked = running.run("verify", "--full", "--json")
    report = json.loads(asked.stdout)
    assert asked.returncode == 1
    assert [(f["kind"], f["record"], f["key"]) for f in report["findings"]] == [
        ("altered", "outcomes", signal)
    ]
    assert report["refused"] >= 1
    asked = running.run("verify")
    assert asked.returncode == 1
    assert asked.stdout.startswith(f"altered    outcomes {signal} is not as it was written: exit: ")
    with database(running) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE outcomes SET exit = %s WHERE signal = %s", [was, signal])
    assert running.run("verify").returncode == 0


def test_the_outcomes_are_counted(running: Running) -> None:
    asked = running.run("outcomes", "--by", "action", "--json")
    groups = json.loads(asked.stdout)["groups"]
    assert asked.returncode == 0
    assert {group["key"] for group in groups} <= {"BUY", "SELL"}
    assert sum(group["outcomes"] for group in groups) > 0
    assert running.run("outcomes", "--symbol", "").returncode == 2
