"""Weight sets as files: read, written, and refused with the key that is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.errors import InputError
from heliograph.consensus.engine import Rules, Weights
from heliograph.lab.strategy import Strategy, live_strategy, read_strategy, write_strategy

GOOD = """
name = "steady"
version = "2"
sources = ["trend", "technical"]

[views.TRENDING]
trend = 0.7
technical = 0.3

[rules]
gate = 80
"""


def read(folder: Path, text: str) -> Strategy:
    file = folder / "weights.toml"
    file.write_text(text)
    return read_strategy(file)


def test_a_file_is_read_over_the_configuration(tmp_path: Path) -> None:
    strategy = read(tmp_path, GOOD)
    assert strategy.name == "steady@2"
    assert strategy.sources == ("trend", "technical")
    assert strategy.weights.views["TRENDING"] == {"trend": 0.7, "technical": 0.3}
    assert (strategy.rules.gate, strategy.rules.stop) == (80, live_strategy().rules.stop)


@given(st.floats(0.01, 0.99), st.floats(50, 90))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, share: float, gate: float
) -> None:
    strategy = Strategy(
        weights=Weights(
            name="a-b.c", version="7", views={"VOLATILE": {"trend": share, "technical": 1 - share}}
        ),
        rules=Rules(gate=gate),
        sources=("technical", "trend"),
    )
    file = tmp_path_factory.mktemp("weights") / "set.toml"
    write_strategy(file, strategy)
    assert read_strategy(file) == strategy


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("0.7", "0.9"), "weights.TRENDING: sum 1.200, expected 1"),
        (("trend = 0.7", "trend = nan"), "weights.TRENDING.trend: nan, expected a number of at least 0"),
        (("trend = 0.7", "trnd = 0.7"), "'trnd' is not one of trend, technical"),
        (('["trend", "technical"]', '["trend", "astrology"]'), "sources: 'astrology', expected some of"),
        (("[views.TRENDING]", "[views.SIDEWAYS]"), "'SIDEWAYS' is not one of"),
        (("gate = 80", "gate = 180"), "rules.gate: 180.0, Input should be less than or equal to 100"),
        (("gate = 80", "gates = 80"), "rules.gates: 80.0, Extra inputs are not permitted"),
        (('version = "2"', ""), "missing required field `version`"),
        (('name = "steady"', 'name = "Steady!"'), "name: 'Steady!', expected 1 to 32 of"),
        (("[rules]", "[rules"), "Expected"),
        (("[rules]", "[limits]"), "unknown field `limits`"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    with pytest.raises(InputError, match=r"weights: .*weights.toml: ") as error:
        read(tmp_path, GOOD.replace(*change))
    assert says in str(error.value)


def test_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(No such file"):
        read_strategy(tmp_path / "none.toml")
