"""Weights, rules and settings: a wrong value names its key."""

import math

import pytest

from heliograph.common.config import load
from heliograph.common.errors import ConfigError, InputError
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.weights import Weights
from heliograph.consensus.settings import ConsensusSettings


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Not good"}, "name: 'Not good'"),
        ({"version": ""}, "version: ''"),
        ({"views": {"SIDEWAYS": {}}}, "'SIDEWAYS' is not one of"),
        ({"views": {"TRENDING": {"tremd": 0.5}}}, "weights.TRENDING: 'tremd' is not one of"),
        ({"views": {"TRENDING": {"trend": -0.1}}}, "weights.TRENDING.trend: -0.1"),
        ({"views": {"TRENDING": {"trend": math.nan}}}, "weights.TRENDING.trend: nan"),
    ],
)
def test_wrong_weights(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Weights(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("sources", [[], ["trend", "horoscope"]])
def test_wrong_sources(sources: list[str]) -> None:
    with pytest.raises(InputError, match="sources: "):
        Weights().table(sources)


def test_a_view_without_any_weight() -> None:
    with pytest.raises(InputError, match=r"weights\.VOLATILE: no weight for trend"):
        Weights(views={"VOLATILE": {"technical": 1.0}}).table(["trend"])


def test_a_sum_off_one_is_a_warning() -> None:
    assert Weights().warnings() == []
    assert Weights(views={"TRENDING": {"trend": 0.5, "technical": 0.46}}).warnings() == []
    off = Weights(views={"TRENDING": {"trend": 0.5, "technical": 0.4}})
    assert off.warnings() == ["weights.TRENDING: sum 0.900, expected 1 (they are normalised)"]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"HELIOGRAPH_RULES": '{"gate": 101}'}, "rules.gate: 101"),
        ({"HELIOGRAPH_RULES": '{"gaet": 80}'}, "rules.gaet"),
        ({"HELIOGRAPH_RULES": '{"tick": 0.03}'}, "tick: 0.03, expected a whole number"),
        ({"HELIOGRAPH_RULES": '{"rsi_low": 20}'}, "rsi_low: 20"),
        ({"HELIOGRAPH_RULES": "75"}, "rules"),
        ({"HELIOGRAPH_WEIGHTS": '{"TRENDING": {"trend": -1}}'}, "weights.TRENDING.trend: -1"),
        ({"HELIOGRAPH_SOURCES": '["trend", "horoscope"]'}, "sources: 'horoscope'"),
        ({"HELIOGRAPH_STRATEGY": "A B"}, "name: 'A B'"),
        ({"HELIOGRAPH_CHECKPOINT_BATCHES": "0"}, "checkpoint_batches: '0'"),
    ],
)
def test_wrong_settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], message: str) -> None:
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(ConfigError) as caught:
        load(ConsensusSettings)
    assert message in str(caught.value)


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_RULES", '{"gate": 80, "tick": 0.05}')
    monkeypatch.setenv("HELIOGRAPH_STRATEGY_VERSION", "7")
    settings = load(ConsensusSettings)
    assert settings.rules == Rules(gate=80, tick=0.05)
    assert settings.table().strategy == "default@7"
