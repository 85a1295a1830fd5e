"""A running stack as its users meet it: a subscriber that knows NATS and JSON, the API, traces, commands."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import nats
import psycopg
import pytest
from nats.js.api import ConsumerConfig, DeliverPolicy
from tests.running import Running, until

from heliograph.client import connect
from heliograph.stack.__main__ import main

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
    """A JSON answer of the gateway; asked again while an owner is too busy with the replay to answer."""

    def answer() -> Any:
        url = running.run_file()["urls"]["gateway"] + path
        try:
            with urllib.request.urlopen(url, timeout=30) as answered:  # noqa: S310 - ours
                return json.load(answered)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return None

    return until(answer, path, 120)


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
    known = running.nats_user("subscriber")
    async with await connect(url, user=known["user"], password=known["password"]) as client:
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
        until(healthy, "a stack in which every check passes", 150)
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


def test_every_url_is_told_as_json(running: Running) -> None:
    told = json.loads((running.folder / "stdout.txt").read_text().splitlines()[0])
    assert told["urls"].keys() >= {"gateway", "nats", "nats monitor", "postgres"}
    assert all("://127.0.0.1:" in url or "@127.0.0.1:" in url for url in told["urls"].values())
    assert Path(told["logs"]).is_dir()


def test_every_command_that_asks_answers_in_json_and_for_a_person(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def heliograph(*words: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["heliograph", *words, "--state", str(running.folder / "state")])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capsys.readouterr().out

    def answer(*words: str) -> str:
        """What a command says, asked again while an owner is too busy with the replay to answer."""
        said: list[tuple[object, str]] = []

        def well() -> bool:
            said.append(heliograph(*words))
            return said[-1][0] == 0

        until(well, f"{words} to answer", 120)
        return said[-1][1]

    found = get(running, "/api/signals?limit=1")["signals"][0]
    newest, symbol = found["id"], found["symbol"]
    for command in (
        ("signals", "show", newest),
        ("signals", "verify", newest),
        ("signals", "tail", "--no-follow", "--last", "1", "--symbol", symbol),
        ("sources",),
        ("spend",),
        ("outcomes",),
        ("calibration",),
        ("archive", "list"),
    ):
        json.loads(answer(*command, "--json"))
        assert answer(*command).strip(), command
    # Its exit code says whether every process was quick enough to answer.
    assert json.loads(heliograph("status", "--json")[1])["processes"]
    signal = json.loads(answer("signals", "show", newest, "--json"))
    assert 100 * abs(sum(signal["sum"]["parts"].values())) == pytest.approx(signal["sum"]["consensus"])
    proof = json.loads(answer("signals", "verify", newest, "--json"))
    assert proof["ok"]
    assert {check["name"] for check in proof["checks"]} >= {"hash", "row", "ledger", "day", "proof"}
    assert heliograph("signals", "show", "0" * 16)[0] == 2


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
