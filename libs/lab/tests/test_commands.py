"""The lab's commands as a user types them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from heliograph.common.errors import InputError
from heliograph.consensus.engine import Weights
from heliograph.lab.backtest import Job
from heliograph.lab.commands.ab import ab
from heliograph.lab.commands.backtest import backtest
from heliograph.lab.commands.optimize_weights import optimize_weights
from heliograph.lab.commands.walk_forward import walk_forward
from heliograph.lab.optimize import Optimisation, optimise
from heliograph.lab.strategy import Strategy, read_strategy

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
    assert "Confidence: too few ended signals" in out
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


WEIGHTS = """
name = "other"
version = "1"
[rules]
gate = {gate}
"""


def test_two_weight_sets_are_compared(
    walks: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = walks({"AAPL": 400, "MSFT": 400}), tmp_path / "other.toml"
    file.write_text(WEIGHTS.format(gate=65))
    assert ab(folder, Path("live"), file, json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["b"]["strategy"] == "other@1"
    assert found["b"]["record"]["signals"] > found["a"]["record"]["signals"] > 0
    assert found["verdict"]
    ab(folder, Path("live"), file)
    assert "signals in both" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"weights: both are other@1, expected two names or versions"):
        ab(folder, file, file)


def test_a_walk_and_an_optimisation_are_told(
    walks: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = walks({f"S{n}": 300 for n in range(6)})
    assert walk_forward(folder, train=150, validation=50, test=50) == 0
    assert "2 windows, test parts from" in capsys.readouterr().out
    out = tmp_path / "weights.toml"
    assert optimize_weights(folder, out=out) == 0
    assert capsys.readouterr().out.startswith("Not accepted")
    assert not out.exists()
    assert optimize_weights(folder, json=True) == 0
    assert json.loads(capsys.readouterr().out)["accepted"] is False


def test_a_walk_through_too_few_days_is_refused(walks: MakeFolder) -> None:
    with pytest.raises(InputError, match="300 days with bars, expected at least 336 for one window"):
        walk_forward(walks({"AAPL": 300}))


def test_accepted_weights_are_written(
    walks: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = walks({"AAPL": 300}), tmp_path / "weights.toml"

    def accepted(job: Job, chunk: int, report: object) -> tuple[Optimisation, Strategy]:
        found, _ = optimise(job, chunk)
        weights = Weights(name="default", version="9", views={"TRENDING": {"trend": 1.0}})
        return msgspec.structs.replace(found, accepted=True), msgspec.structs.replace(
            job.strategy, weights=weights
        )

    monkeypatch.setattr("heliograph.lab.commands.optimize_weights.optimise", accepted)
    optimize_weights(folder, out=out)
    assert capsys.readouterr().out
    assert read_strategy(out).name == "default@9"
