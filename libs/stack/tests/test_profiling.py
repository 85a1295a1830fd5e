"""`heliograph profile`: where the time and the memory of one analysis go."""

import pstats
import sys
import tracemalloc
from pathlib import Path

import pytest

from heliograph.stack.__main__ import main
from heliograph.stack.options import SAMPLE_FOLDER

SAMPLE = next(p / SAMPLE_FOLDER for p in Path(__file__).resolve().parents if (p / SAMPLE_FOLDER).is_dir())


def profiled(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["heliograph", "profile", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def analysis(tmp_path: Path) -> tuple[str, ...]:
    return ("--", "analyze", "SNOW", "--json", "--data", str(SAMPLE), "--state", str(tmp_path))


def test_the_time_of_an_analysis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "analysis.prof"
    assert profiled(monkeypatch, "--out", str(out), "--lines", "5", *analysis(tmp_path)) == 0
    told, measured = capsys.readouterr()
    assert '"ticker":"SNOW"' in told
    assert "Ordered by: cumulative time" in measured
    functions = {name for _, _, name in pstats.Stats(str(out)).stats}  # type: ignore[attr-defined]  # untyped there
    assert {"analyze", "_here"} <= functions


def test_the_memory_of_an_analysis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "analysis.memory"
    assert profiled(monkeypatch, "--memory", "--out", str(out), "--lines", "3", *analysis(tmp_path)) == 0
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith("at most ")
    assert len(rest) == 3
    assert tracemalloc.Snapshot.load(str(out)).traces
    assert not tracemalloc.is_tracing()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "command: 'none', expected one as in `heliograph profile -- analyze SNOW`"),
        (("--", "profile", "--", "status"), "command: 'profile -- status'"),
        (("--lines", "-1", "--", "status"), "lines: -1"),
        (("--out", "no/such/folder", "--", "status"), "out: 'no/such/folder'"),
        (("--", "analyze", "SNOW", "--to", "yesterday"), "to: 'yesterday'"),
    ],
)
def test_what_is_wrong_is_named(
    words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profiled(monkeypatch, *words) == 2
    assert told in capsys.readouterr().err
