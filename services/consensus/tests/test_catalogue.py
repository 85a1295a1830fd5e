"""Sources by name, weight sets by file, and the worked example of the documentation, installed for real."""

import json
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from heliograph.common.config import load
from heliograph.common.errors import ConfigError, InputError
from heliograph.consensus.catalogue import choose
from heliograph.consensus.engine.sources import DEAR
from heliograph.consensus.market import market_hours
from heliograph.consensus.settings import ConsensusSettings
from heliograph.consensus.weight_files import read_weights

GUIDE = Path(__file__).parents[3] / "docs" / "adding-a-source.md"
WEIGHT_SETS = GUIDE.with_name("weight-sets.md")
SOURCES = ("trend", "technical", "swing")
RUN = """
import json
import numpy as np
from heliograph.common.config import load
from heliograph.common.events import BarBatch
from heliograph.consensus.settings import ConsensusSettings

engine = load(ConsensusSettings).engine()
random = np.random.default_rng(1)
close = 100.0
votes = []
for n in range(300):
    move = random.normal(0.0, 0.02)
    open_, close = close, close * (1 + move)
    one = BarBatch(
        id=f"{n:016x}", ts=n * 3600 * 10**9, interval="1h", symbols=["A"], source="test", open=[open_],
        high=[max(open_, close) * 1.001], low=[min(open_, close) * 0.999], close=[close], volume=[1.0],
    )
    for signal in engine.apply(one, n + 1):
        votes += [v.source for v in signal.votes]
print(json.dumps(sorted(set(votes))))
"""


def blocks(language: str) -> list[str]:
    """The code of the guide in a language."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def heard(environment: dict[str, str]) -> list[str]:
    """The sources in the signals of a run in another process."""
    found = subprocess.run(
        [sys.executable, "-c", RUN],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    sources: list[str] = json.loads(found.stdout)
    return sources


def test_the_example_is_one_file_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "heliograph_breakout.py").write_text(blocks("python")[0], encoding="utf-8")
    (line,) = re.findall(r"^HELIOGRAPH_SOURCES='(.*)'$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    found = heard({"PYTHONPATH": path, "HELIOGRAPH_SOURCES": line, "HELIOGRAPH_RULES": '{"gate": 60}'})
    assert "breakout" in found


def test_the_compiled_example_is_one_file_too(tmp_path: Path) -> None:
    (tmp_path / "heliograph_averages.py").write_text(blocks("python")[1], encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    sources = json.dumps([*SOURCES, "heliograph_averages:SOURCE"])
    found = heard({"PYTHONPATH": path, "HELIOGRAPH_SOURCES": sources, "HELIOGRAPH_RULES": '{"gate": 60}'})
    assert "averages" in found


def test_the_example_is_a_package_that_registers_itself(tmp_path: Path) -> None:
    """Built and installed as a wheel, found by its entry point."""
    package, installed = tmp_path / "package", tmp_path / "installed"
    package.mkdir()
    (package / "heliograph_breakout.py").write_text(blocks("python")[0], encoding="utf-8")
    (package / "pyproject.toml").write_text(blocks("toml")[0], encoding="utf-8")
    uv = Path(sys.executable).parent / "uv"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--offline", "--python",
         sys.executable, "--target", str(installed), str(package)],
        check=True,
    )  # fmt: skip
    path = os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH", "")]))
    sources = json.dumps([*SOURCES, "breakout"])
    found = heard({"PYTHONPATH": path, "HELIOGRAPH_SOURCES": sources, "HELIOGRAPH_RULES": '{"gate": 60}'})
    assert "breakout" in found


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("horoscope", "'horoscope', expected some of trend, technical, swing, pattern, sentiment, research"),
        ("nowhere_at_all:SOURCE", "'nowhere_at_all:SOURCE' cannot be loaded"),
        ("json:nothing", "'json:nothing' cannot be loaded"),
        ("json:dumps", "'json:dumps' is a function, expected CheapSource, CompiledSource or"),
        ("trend", "trend twice"),
    ],
)
def test_wrong_names(name: str, message: str) -> None:
    with pytest.raises(InputError, match="sources: ") as caught:
        choose((*SOURCES, name))
    assert message in str(caught.value)


def test_sources_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_SOURCES", '["trend", "analysts"]')
    settings = load(ConsensusSettings)
    assert settings.chosen.kernel == ("trend",)
    assert settings.chosen.others == (DEAR["analysts"],)
    engine = settings.engine()
    assert engine.table["weights"][0, 0].tolist() == pytest.approx([0.4 / 0.55, 0, 0])
    assert engine.table["others"][0, 0, 0] == pytest.approx(0.15 / 0.55)
    assert settings.hours() is None


GOOD = """
name = "trendy"
version = "1"
sources = ["trend", "technical", "swing"]

[views.TRENDING]
trend = 0.7
technical = 0.3
"""


def test_a_weight_set_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "trendy.toml"
    file.write_text(GOOD)
    monkeypatch.setenv("HELIOGRAPH_CHALLENGER_FILE", str(file))
    monkeypatch.setenv("HELIOGRAPH_ROLLOUT", "0.1")
    engine = load(ConsensusSettings).engine()
    assert engine.table["weights"][:, 1].tolist() == [
        pytest.approx([0.55, 0.25, 0.2]),
        pytest.approx([0.7, 0.3, 0]),
    ]
    assert engine.table["rollout"].tolist() == [0.1, 0.1]
    monkeypatch.delenv("HELIOGRAPH_ROLLOUT")
    monkeypatch.delenv("HELIOGRAPH_CHALLENGER_FILE")
    monkeypatch.setenv("HELIOGRAPH_WEIGHTS_FILE", str(file))
    assert load(ConsensusSettings).table().strategy == "trendy@1"


def test_the_documented_weight_set_is_one(tmp_path: Path) -> None:
    file = tmp_path / "trendy.toml"
    (text,) = re.findall(r"```toml\n(.*?)```", WEIGHT_SETS.read_text(encoding="utf-8"), re.DOTALL)
    file.write_text(text, encoding="utf-8")
    weights = read_weights(file, SOURCES, ())
    assert weights.strategy == "trendy@1"
    assert weights.table(SOURCES)[1].tolist() == pytest.approx([0.65, 0.15, 0.20])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("0.7", "0.9"), "weights.TRENDING: sum 1.200, expected 1"),
        (GOOD.replace("technical = 0.3", "horoscope = 0.3"), "weights.TRENDING: 'horoscope' is not one of"),
        (GOOD.replace("TRENDING", "SIDEWAYS"), "weights: 'SIDEWAYS' is not one of"),
        (GOOD.replace('"technical", ', ""), "sources: trend, swing, expected trend, technical, swing"),
        (GOOD.replace('name = "trendy"', ""), "missing required field `name`"),
        (GOOD + "[rules]\ngate = 3\n", "unknown field `rules`"),
        ("name = ", "Invalid value"),
    ],
)
def test_wrong_weight_sets(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "set.toml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_weights(file, SOURCES, ())
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"HELIOGRAPH_WEIGHTS_FILE": "/nowhere.toml"}, "/nowhere.toml: cannot be read"),
        ({"HELIOGRAPH_ROLLOUT": "0.5"}, "rollout: 0.5 without a challenger"),
        ({"HELIOGRAPH_ROLLOUT": "1.5"}, "rollout: '1.5'"),
        ({"HELIOGRAPH_RULES": '{"wait_s": 0}'}, "rules.wait_s: 0"),
    ],
)
def test_wrong_settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], message: str) -> None:
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(ConfigError) as caught:
        load(ConsensusSettings)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("local", "is_open"),
    [
        ((2024, 7, 3, 9, 29), False), ((2024, 7, 3, 9, 30), True), ((2024, 7, 3, 12, 59), True),
        ((2024, 7, 3, 13, 0), False), ((2024, 7, 4, 12, 0), False), ((2024, 7, 5, 15, 59), True),
        ((2024, 7, 6, 12, 0), False), ((2013, 3, 29, 12, 0), False), ((2024, 1, 16, 9, 30), True),
    ],
)  # fmt: skip
def test_hours_of_the_exchange(local: tuple[int, ...], *, is_open: bool) -> None:
    """Early closes, holidays, week-ends and Good Friday; a day's bar overlaps the session in it."""
    begin = int(datetime(*local, tzinfo=ZoneInfo("America/New_York")).timestamp()) * 10**9  # type: ignore[misc, arg-type]
    hours = market_hours()
    assert hours.open_between(begin, begin + 60 * 10**9) is is_open
    day = begin - begin % (86_400 * 10**9)
    assert hours.open_between(day, day + 86_400 * 10**9) is (
        local[:3] not in ((2024, 7, 4), (2024, 7, 6), (2013, 3, 29))
    )
