"""The command as a user types it: exit codes and messages, and a Ctrl-C that leaves nothing behind."""

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from heliograph.stack.__main__ import main
from heliograph.stack.state import State

from .test_state import HOLD

COMMAND = [sys.executable, "-m", "heliograph.stack"]


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: object
    out: str
    err: str


Heliograph = Callable[..., Ended]


@pytest.fixture
def heliograph(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Heliograph:
    """Run a command to its end, in this process."""

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["heliograph", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return Ended(end.value.code, *capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data", "/no/such/folder"], "data: '/no/such/folder' is not a folder"),
        (["--speed", "fast"], "speed: 'fast', expected `max` or a positive factor"),
        (["--shards", "0"], "shards: 0, expected 1 to 1024"),
        (["--replicas", "99"], "replicas: 99, expected 1 to 16"),
        (["--port", "70000"], "port: 70000, expected 0 to 65535"),
        (["--shards", "many"], "many"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_arguments_end_with_2_and_a_message(
    heliograph: Heliograph, arguments: list[str], says: str, tmp_path: Path
) -> None:
    result = heliograph("up", "--state", str(tmp_path / "state"), *arguments)
    assert result.code == 2
    assert says in result.err + result.out
    assert "Traceback" not in result.err
    assert not (tmp_path / "state").exists(), "nothing was started"


def test_a_folder_without_bars_ends_with_2(heliograph: Heliograph, tmp_path: Path) -> None:
    result = heliograph("up", "--once", "--data", str(tmp_path))
    assert (result.code, result.out) == (2, "")
    assert "no *.parquet file" in result.err


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["signals", "tail"]])
def test_without_a_stack_there_is_nothing_to_ask(
    heliograph: Heliograph, arguments: list[str], tmp_path: Path
) -> None:
    result = heliograph(*arguments, "--state", str(tmp_path / "state"))
    assert (result.code, result.out) == (1, "")
    assert "no stack runs on" in result.err
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--since", "soon"], "since: 'soon', expected"), (["--last", "-1"], "last: -1, expected")],
)
def test_a_wrong_start_of_the_tail_is_named(
    heliograph: Heliograph, arguments: list[str], says: str, tmp_path: Path
) -> None:
    result = heliograph("signals", "tail", "--state", str(tmp_path), *arguments)
    assert result.code == 2
    assert says in result.err


def test_a_folder_in_use_says_by_whom(heliograph: Heliograph, state: State) -> None:
    arguments = [sys.executable, "-c", HOLD, str(state.folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        result = heliograph("up", "--state", str(state.folder))
        holder.kill()
    assert result.code == 1
    assert f"already runs on {state.folder} (process {holder.pid})" in result.err


def test_the_version_is_printed(heliograph: Heliograph) -> None:
    assert heliograph("version").out == heliograph("--version").out == "0.1.0\n"


@contextlib.contextmanager
def started(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the test."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_leaves_nothing_behind(number: int, tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    arguments = [*COMMAND, "up", "--json", "--port", "0", "--state", str(state.folder)]
    with started(arguments) as process:
        deadline = time.monotonic() + 60
        while not (run := state.run()) or len(run.processes) < 3:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        _, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert len(children) >= 3
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    assert state.run() is None


def test_data_that_the_fetcher_refuses_end_with_2_and_leave_nothing(
    heliograph: Heliograph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, temporary = tmp_path / "data", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    (folder / "bars.parquet").write_text("no Parquet")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    result = heliograph("up", "--once", "--json", "--data", str(folder))

    assert (result.code, result.out) == (2, "")
    assert "bars.parquet" in result.err
    assert "expected a Parquet file" in result.err
    assert len(result.err.splitlines()) == 1
    assert list(temporary.iterdir()) == []
