"""A running stack as its users meet it: a subscriber that knows NATS and JSON, the API, traces, commands."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, LiteralString

import nats
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
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
def data(tmp_path_factory: pytest.TempPathFactory, year: Path, sample: Path) -> Path:
    """The year's bars, and the panel's filings."""
    folder = tmp_path_factory.mktemp("data")
    for part in (*year.glob("*.parquet"), sample / "fundamentals"):
        (folder / part.name).symlink_to(part)
    return folder


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Iterator[Running]:
    """A stack that goes on after its replay, as `make up` does."""
    started = Running(tmp_path_factory.mktemp("live"), "--speed", "max", "--data", str(data), "--json")
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
    assert (await live.next_msg(30)).subject == "signal.0.LIVE"
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
        every = every and {"outcomes", "calibration"} <= set(found)
        return every and asked.returncode == 0 and "fail" not in found.values()

    try:
        until(healthy, "a stack in which every check passes", 150)
    except AssertionError:
        pytest.fail(told[-1])


COUNTED: LiteralString = """SELECT (SELECT count(*) FROM every_signal), (SELECT count(*) FROM reasons),
    (SELECT count(*) FROM outcomes)"""


@pytest.fixture(scope="module")
def record(running: Running) -> Iterator[psycopg.Connection[Any]]:
    """Postgres itself, when the replay is over and the archive has all that the record has."""
    with database(running) as connection:
        connection.autocommit = True

        def still() -> bool:
            system, stats = get(running, "/api/system"), get(running, "/api/stats")
            done = [each["status"].get("done") for each in system["replicas"] if each["service"] == "fetcher"]
            lags = [reader["lag"] for stream in system["streams"] for reader in stream["consumers"]]
            if not done or not all(done) or any(lags):
                return False
            counts = [
                tuple(side.get(name) for name in ("signals", "reasons", "outcomes"))
                for side in (stats, stats["archived"] or {})
            ]
            return counts == rows(connection, COUNTED) * 2

        until(still, "the end of the replay, in the record and in the archive", 240)
        yield connection


def rows(record: psycopg.Connection[Any], question: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    return record.execute(question, values).fetchall()


def test_the_page_and_the_signals_of_the_api_are_those_of_the_record(
    running: Running, record: psycopg.Connection[Any]
) -> None:
    page = urllib.request.urlopen(running.run_file()["urls"]["gateway"], timeout=60).read().decode()  # noqa: S310 - ours
    assert "<script" in page
    held = rows(record, "SELECT id, sha256, ts FROM every_signal ORDER BY ts DESC, id DESC LIMIT 200")
    first = get(running, "/api/signals?limit=100")["signals"]
    last = first[-1]
    second = get(running, f"/api/signals?limit=100&before={last['ts']}&before_id={last['id']}")["signals"]
    assert [(one["id"], one["sha256"], one["ts"]) for one in first + second] == held
    reasons = dict(rows(record, "SELECT signal, text FROM reasons"))
    results = dict(rows(record, "SELECT signal, result FROM outcomes"))
    for one in first:
        assert one["reason"]["text"] == reasons[one["id"]]
        assert (one["outcome"] or {}).get("result") == results.get(one["id"])
    assert get(running, f"/api/signals/{last['id']}") == last
    [(newest,)] = rows(
        record, "SELECT id FROM every_signal WHERE symbol = 'AAPL' ORDER BY ts DESC, id DESC LIMIT 1"
    )
    assert get(running, "/api/signals/latest?symbol=AAPL")["id"] == newest
    proof = get(running, f"/api/verify/{newest}")
    assert (proof["ok"], [(proof["id"], proof["sha256"])]) == (
        True,
        rows(record, "SELECT id, sha256 FROM every_signal WHERE id = %s", newest),
    )


def test_the_results_of_the_api_are_those_of_the_record(
    running: Running, record: psycopg.Connection[Any]
) -> None:
    [(signals, reasons, outcomes)] = rows(record, COUNTED)
    ended = dict(rows(record, "SELECT result, count(*) FROM outcomes GROUP BY result"))
    counts = [ended.get(result, 0) for result in ("win", "loss", "expired")]
    stats = get(running, "/api/stats")
    assert (stats["signals"], stats["reasons"], stats["outcomes"]) == (signals, reasons, outcomes)
    assert stats["archived"]["outcomes"] == outcomes == sum(counts)
    assert [stats[name] for name in ("wins", "losses", "expired")] == counts
    assert stats["open"] == signals - outcomes
    for result in ended:
        found = get(running, f"/api/outcomes?limit=100&result={result}")["outcomes"]
        question: LiteralString = (
            "SELECT id FROM outcomes WHERE result = %s ORDER BY ts DESC, id DESC LIMIT 100"
        )
        assert [(one["id"],) for one in found] == rows(record, question, result)

    def whole() -> Any:
        """A tracker with too much to do may answer too late for one question."""
        told = get(running, "/api/positions?limit=100")
        return None if told["missing_shards"] else told

    found = until(whole, "how the open signals of all shards stand", 120)
    assert found["total"] == signals - outcomes
    held = rows(
        record,
        """SELECT s.id FROM every_signal s LEFT JOIN outcomes o ON o.signal = s.id WHERE o.signal IS NULL
        ORDER BY s.ts DESC, s.id LIMIT 100""",
    )
    assert [(one["signal"],) for one in found["positions"]] == held
    found = get(running, "/api/symbols?limit=500")["symbols"]
    assert {one["symbol"]: one["signals"] for one in found} == dict(
        rows(record, "SELECT symbol, count(*) FROM every_signal GROUP BY symbol")
    )
    performance = get(running, "/api/performance")
    assert [performance["statistics"][name] for name in ("wins", "losses", "expired")] == counts
    for group, column in (("by_action", "action"), ("by_strategy", "strategy")):
        by = dict(rows(record, f"SELECT {column}, count(*) FROM outcomes GROUP BY 1"))  # noqa: S608 - two names of columns
        assert {one["key"]: one["outcomes"] for one in performance[group] if one["outcomes"]} == by
    [(net_r, pnl_net)] = rows(record, "SELECT sum(r_multiple), sum(pnl_net) FROM outcomes")
    newest = performance["days"][-1]
    assert newest["cumulative_net_r"] == pytest.approx(net_r)
    assert newest["cumulative_pnl_net"] == pytest.approx(pnl_net)
    used = {one["version"] for one in get(running, "/api/calibration")["calibrations"]}
    assert used <= {version for (version,) in rows(record, "SELECT version FROM calibrations")}
    judged = {one["source"]: one["all"]["votes"] for one in get(running, "/api/sources?last=50")["sources"]}
    assert judged["trend"] == min(50, outcomes)


def test_the_bars_of_the_api_are_those_that_were_read(
    running: Running, record: psycopg.Connection[Any], data: Path
) -> None:
    table = pq.read_table(data / "sp500_daily.parquet", filters=[("symbol", "==", "AAPL")]).sort_by("ts")
    bars = get(running, "/api/bars?symbol=AAPL&interval=1d&limit=5000")
    assert bars["ts"] == table["ts"].cast(pa.timestamp("ns", "UTC")).cast("int64").to_pylist()
    for column in ("open", "high", "low", "close", "volume"):
        assert bars[column] == pytest.approx(table[column].to_pylist(), rel=1e-6), column


def test_a_run_that_is_asked_for_over_the_api_is_judged_and_recorded(
    running: Running, record: psycopg.Connection[Any]
) -> None:
    def post(**body: object) -> tuple[int, Any]:
        request = urllib.request.Request(  # noqa: S310 - ours
            running.run_file()["urls"]["gateway"] + "/api/run",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answered:  # noqa: S310 - the same
                return answered.status, json.load(answered)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def begun() -> Any:
        status, said = post(tickers=["SNOW"], agents=["ben_graham", "technicals"], run="overtheapi")
        assert status in {HTTPStatus.ACCEPTED, HTTPStatus.SERVICE_UNAVAILABLE}, said
        return said if status == HTTPStatus.ACCEPTED else None

    started = until(begun, "the run to begin", 120)
    assert (started["run"], started["stream"]) == ("overtheapi", "/api/runs/overtheapi")

    def ended() -> Any:
        run = get(running, started["stream"])
        return run if run["state"] != "running" else None

    run = until(ended, "the run to end", 120)
    assert (run["state"], run["done"]) == ("done", run["total"])
    [verdict] = run["verdicts"]
    assert {said["agent"] for said in verdict["predictions"]} <= {"ben_graham", "technicals"}
    assert "overtheapi" in {one["run"] for one in get(running, "/api/runs")["runs"]}
    question: LiteralString = "SELECT ticker, action, quantity, agents FROM verdicts WHERE run = %s"
    kept = until(lambda: rows(record, question, "overtheapi"), "the verdict in the record", 60)
    assert kept == [("SNOW", verdict["action"], verdict["quantity"], verdict["agents"])]
    question = "SELECT agent, signal FROM predictions WHERE run = %s ORDER BY agent"
    assert rows(record, question, "overtheapi") == sorted(
        (said["agent"], said["signal"]) for said in verdict["predictions"]
    )
    status, said = post(tickers=["SNOW"], agents=["nobody"])
    assert (status, "nobody" in said["error"]) == (HTTPStatus.BAD_REQUEST, True), said


def test_the_operations_of_the_api_are_those_of_the_services(running: Running) -> None:
    system = get(running, "/api/system")
    services = {each["service"] for each in system["replicas"]}
    assert services == {"fetcher", "consensus", "reasoning", "tracker", "archiver", "gateway"}
    owned = [n for each in system["replicas"] if each["service"] == "consensus" for n in each["shards"]]
    assert sorted(owned) == list(range(system["shards"]))
    spent = get(running, "/api/spend")
    assert (spent["total"], spent["currency"]) == (0.0, "USD")
    assert get(running, "/api/me")["auth"] == "off"


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
        ("signals", "open"),
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
