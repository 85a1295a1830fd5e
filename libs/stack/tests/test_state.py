"""The state folder keeps what a second start needs, and lets only one stack use it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.common.errors import ConfigError
from heliograph.common.permissions import USERS
from heliograph.stack.errors import StackError
from heliograph.stack.state import Kept, Run, RunningProcess, State

HOLD = """
import sys, time
from pathlib import Path
from heliograph.stack.state import State
state = State(Path(sys.argv[1]))
state.lock()
print("locked", flush=True)
time.sleep(600)
"""


def test_credentials_are_made_once_and_private(state: State) -> None:
    first = state.credentials()
    assert State(state.folder).credentials() == first
    assert stat.S_IMODE((state.folder / "credentials.json").stat().st_mode) == 0o600
    users = [state.nats_user(name) for name in USERS]
    assert users == [State(state.folder).nats_user(name) for name in USERS]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (state.folder / "nats-users").iterdir()}
    assert modes == {0o600}
    passwords = {first.postgres_password, first.redis_password, first.tracker_password, first.reader_password}
    passwords |= {*(user.password for user in users)}
    assert len(passwords) == 4 + len(USERS)
    assert min(map(len, passwords)) >= 32


def test_credentials_differ_between_folders(state: State, tmp_path: Path) -> None:
    other = State(tmp_path / "other")
    other.create()
    assert other.credentials() != state.credentials()


def test_what_is_kept_is_found_again(state: State) -> None:
    assert state.kept() == Kept()
    state.keep(Kept(ports={"nats": 20_001}, shards=4))
    assert State(state.folder).kept() == Kept(ports={"nats": 20_001}, shards=4)


def test_a_run_is_told_and_forgotten(state: State) -> None:
    process = RunningProcess(name="nats", kind="engine", pid=1, created=0.5)
    run = Run(supervisor=process, started="2026-01-01", urls={}, settings={"shards": 4}, processes=[process])
    assert state.run() is None
    state.set_run(run)
    assert State(state.folder).run() == run
    state.set_run(None)
    assert state.run() is None
    state.set_run(None)


def test_one_process_at_a_time(state: State) -> None:
    arguments = [sys.executable, "-c", HOLD, str(state.folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(StackError, match=f"already runs on .*process {holder.pid}"):
            state.lock()
        holder.kill()
    state.lock()
    assert (state.folder / "lock").read_text() == str(os.getpid())
    state.unlock()


@pytest.mark.parametrize("text", ["", "{", '{"ports": 3}', "[]"])
def test_a_damaged_file_is_named(state: State, text: str) -> None:
    (state.folder / "kept.json").write_text(text)
    with pytest.raises(ConfigError, match=r"kept\.json"):
        state.kept()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"state: .*file"):
        State(tmp_path / "file").create()
