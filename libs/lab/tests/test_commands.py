"""The lab's commands as a user types them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from heliograph.common.errors import InputError
from heliograph.lab.commands.backtest import backtest

from .conftest import MakeFolder


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def heliograph(*arguments: str) -> Ended:
    """Run the installed command."""
    done = subprocess.run(
        [sys.executable, "-m", "heliograph.stack", *arguments], capture_output=True, text=True, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_the_command_is_installed_and_refuses_what_is_no_folder() -> None:
    ended = heliograph("backtest", "/no/such/folder", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert "data: '/no/such/folder' is not a folder" in ended.err
    assert "Traceback" not in ended.err


def test_json_has_every_figure(walks: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert backtest(walks({"AAPL": 400, "MSFT": 400}), json=True) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["symbols"] == 2
    assert found["signals"] > 10
    assert len(found["signals_sha256"]) == 64
    assert set(found["portfolio"]) == set(found["buy_and_hold"]) >= {"sharpe", "sortino", "calmar", "var_95"}
    assert [source["source"] for source in found["sources"]] == list(found["sources_used"])
    assert found["verdict"].startswith(("Nothing", "Worth a closer look"))


def test_a_person_reads_the_verdict_first(walks: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    backtest(walks({"FLAT": 20}))
    out = capsys.readouterr().out
    assert out.startswith("Nothing worth trading: the strategy gave no signal")
    assert "too few bars" in out
    assert "signals_sha256" in out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"chunk": 0}, "chunk: 0, expected 1 or more"),
        ({"workers": 0}, "workers: 0, expected 1 to 256"),
        ({"from_": "soon"}, "from: 'soon', expected a date"),
        ({"from_": "2020-05-01", "to": "2020-05-01"}, "to: '2020-05-01', expected later than from"),
        ({"weights": Path("/none.toml")}, "weights: '/none.toml' cannot be read"),
    ],
)
def test_wrong_options_are_named(walks: MakeFolder, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as error:
        backtest(walks({"AAPL": 60}), **options)
    assert says in str(error.value)
