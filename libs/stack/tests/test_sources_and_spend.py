"""`heliograph sources` and `heliograph spend`: what is told of the owners' answers."""

import sys
from typing import Any

import pytest
from rich.console import Console

from heliograph.stack.commands import sources, spend
from heliograph.stack.figures import Replica

RECORD = {"votes": 100, "right": 60, "wrong": 30, "expired": 10, "neutral": 0}
RECORD |= {"hit_rate": 2 / 3, "low": 0.56, "high": 0.755, "expectancy": 0.31}  # type: ignore[dict-item]
REPLICAS = [
    Replica(service="consensus", member="c", ready=True, shards=[0, 1]),
    Replica(service="reasoning", member="r", ready=True, status={"votes": {"sentiment": {"asked": 3}}}),
    Replica(service="fetcher", member="f", ready=True, status={"provider": "replay", "health": "degraded"}),
]


def configured(monkeypatch: pytest.MonkeyPatch, names: str) -> tuple[str, list[sources.Configured]]:
    monkeypatch.setenv("HELIOGRAPH_SOURCES", names)
    return sources.configured()


def test_weights_are_those_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, found = configured(monkeypatch, '["trend", "technical", "sentiment", "pattern"]')
    assert strategy.startswith("default@")
    assert {one.source: one.from_ for one in found} == {
        "trend": "bars",
        "technical": "bars",
        "sentiment": "outside",
        "pattern": "past signals",
    }
    for view in ("UNKNOWN", "TRENDING", "CONSOLIDATION", "VOLATILE"):
        assert sum(one.weights[view] for one in found) == pytest.approx(1, abs=1e-3)
    trending = {one.source: one.weights["TRENDING"] for one in found}
    assert trending["trend"] / trending["technical"] == pytest.approx(0.55 / 0.25, rel=1e-3)


def test_a_source_is_healthy_where_somebody_votes_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, found = configured(monkeypatch, '["trend", "sentiment", "research"]')
    told = sources.report(strategy, found, REPLICAS, {"trend": {"all": RECORD}, "old": {"all": RECORD}})
    health = {one["source"]: one["health"] for one in told["sources"]}
    assert health == {
        "trend": "healthy",
        "sentiment": "healthy",
        "research": "silent",
        "old": "not configured",
    }
    assert [one["reliability"] is None for one in told["sources"]] == [False, True, True, False]
    assert told["providers"][0]["health"] == "degraded"
    dead = sources.report(strategy, found, REPLICAS[1:], {})
    assert {one["health"] for one in dead["sources"]} == {"unhealthy"}


def test_a_person_sees_weights_and_records(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strategy, found = configured(monkeypatch, '["trend", "technical"]')
    undecided = RECORD | {"hit_rate": None}
    records = {"trend": {"all": RECORD}, "technical": {"all": undecided}}
    sources.show(Console(file=sys.stdout, width=80), sources.report(strategy, found, REPLICAS, records))
    told = capsys.readouterr().out
    for part in ("consolidation", "69 %", "67 %", "56–76 %", "+0.31", "bars from replay (f): degraded"):
        assert part in told
    assert "…" not in told, "fits a terminal of 80 columns"


def report(**changes: Any) -> dict[str, Any]:
    used = {"provider": "glm", "model": "glm-4", "calls": 1200, "failures": 3, "cached": 40}
    used |= {"tokens_in": 5_000_000, "tokens_out": 70_000, "cost": 1.25, "breaker": "closed"}
    budget = {"name": "glm", "limit": 40.0, "reserved": 0.0021, "spent": 1.25, "left": 38.7479}
    found = {"day": "2026-03-01", "total": 1.25, "alone": False, "budgets": [budget], "providers": [used]}
    month = {"month": "2026-03", "total": 12.5}
    figures = {"signals": 1000, "cost_per_signal": 0.00125, "hit_rate": 0.25, "month": month}
    return found | figures | changes


def test_money_is_shown_by_provider(capsys: pytest.CaptureFixture[str]) -> None:
    spend.show(Console(file=sys.stdout, width=100), report())
    told = capsys.readouterr().out
    for part in ("glm-4", "1,200", "$1.25", "$0.0021", "$38.75", "$40.00", "closed", "5,000,000"):
        assert part in told
    assert "1,000 signals at $0.00125; month 2026-03 $12.50; 25 % of the questions needed no call" in told
    assert "Redis" not in told


def test_without_models_or_redis_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    spend.show(Console(file=sys.stdout), report(providers=[], budgets=[]))
    assert "no model is configured" in capsys.readouterr().out
    spend.show(Console(file=sys.stdout, width=100), report(alone=True, cost_per_signal=None))
    told = capsys.readouterr().out
    assert "signals at –" in told
    assert "Redis is away" in told
