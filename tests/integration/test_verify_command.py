"""`heliograph verify` and `heliograph outcomes` on a running stack, before and after a row is altered."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.running import HELIOGRAPH, ROOT, Running, until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Iterator[Running]:
    """A stack that has replayed a little over a year of the sample's stocks, and goes on."""
    folder = tmp_path_factory.mktemp("verify")
    table = pq.read_table(sample / "sp500_daily.parquet")
    until_day = pc.less(table["ts"], pa.scalar(datetime(2014, 6, 1, tzinfo=UTC), table["ts"].type))
    (folder / "data").mkdir()
    pq.write_table(table.filter(until_day), folder / "data" / "sp500_daily.parquet")
    started = Running(folder, "--speed", "max", "--data", str(folder / "data"), "--json")
    until(lambda: started.messages("OUTCOME") > 0 or started.process.poll() is not None, "outcomes", 120)
    yield started
    assert started.stop() == 0, started.text()


def heliograph(running: Running, *args: str) -> tuple[int, str]:
    """A command on the stack: its exit code and what it prints."""
    done = subprocess.run(
        [HELIOGRAPH, *args, "--state", str(running.folder / "state")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def database(running: Running) -> psycopg.Connection[Any]:
    """Postgres, as its owner."""
    secret = running.credentials()
    address = running.run_file()["urls"]["postgres"].split("@")[-1]
    return psycopg.connect(f"postgresql://{secret['postgres_user']}:{secret['postgres_password']}@{address}")


def test_one_altered_byte_in_a_running_stack_is_named(running: Running) -> None:
    code, text = heliograph(running, "verify", "--full", "--json")
    report = json.loads(text)
    assert (code, report["ok"], report["findings"]) == (0, True, [])
    assert report["rows"] > 100
    with database(running) as connection:
        connection.execute("SET session_replication_role = replica")
        row = connection.execute("SELECT signal FROM outcomes ORDER BY signal LIMIT 1").fetchone()
        assert row is not None
        connection.execute("UPDATE outcomes SET exit = exit + 0.01 WHERE signal = %s", row)
    with database(running) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("DELETE FROM outcomes WHERE signal = %s", row)
    code, text = heliograph(running, "verify", "--full", "--json")
    report = json.loads(text)
    assert code == 1
    assert [(f["kind"], f["record"], f["key"]) for f in report["findings"]] == [
        ("altered", "outcomes", row[0])
    ]
    assert report["refused"] >= 1
    code, text = heliograph(running, "verify")
    assert code == 1
    assert text.startswith(f"altered    outcomes {row[0]} is not as it was written: exit: ")


def test_the_outcomes_are_counted(running: Running) -> None:
    code, text = heliograph(running, "outcomes", "--by", "action", "--json")
    groups = json.loads(text)["groups"]
    assert code == 0
    assert {group["key"] for group in groups} <= {"BUY", "SELL"}
    assert sum(group["outcomes"] for group in groups) > 0
    code, _ = heliograph(running, "outcomes", "--symbol", "")
    assert code == 2
