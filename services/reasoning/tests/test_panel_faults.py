"""The panel with the service's models against a server that fails in every way: the verdict still comes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.reasoning.model_server.content import INJECTION
from heliograph.reasoning.model_server.faults import Fault, Faults
from heliograph.reasoning.model_server.server import ModelServer
from heliograph.reasoning.models.build import BuiltModels, build
from heliograph.reasoning.panel.answers import MemoryAnswers
from heliograph.reasoning.panel.asking import Asking
from heliograph.reasoning.panel.opinion import Opinion
from heliograph.reasoning.panel.panel import Analysis, Panel, Task
from heliograph.reasoning.panel.records.folder import Folder
from heliograph.reasoning.panel.roster import PERSONAS
from heliograph.reasoning.settings import ReasoningSettings

SAMPLE = next(p / "data/sample" for p in Path(__file__).resolve().parents if (p / "data/sample").is_dir())
SNOW = Task(tickers=("SNOW",), start=date(2024, 6, 2), asof=date(2025, 6, 2))
APPLE = Task(tickers=("AAPL",), start=date(2017, 2, 7), asof=date(2018, 2, 7))
DEADLINE_S = 2.0


@pytest.fixture
async def models(server: ModelServer) -> AsyncIterator[BuiltModels]:
    provider = {
        "base_url": server.base_url("test"),
        "model": "test",
        "call_price": 0.001,
        "daily_budget": 100.0,
        "calls_per_minute": 10_000,
    }
    settings = ReasoningSettings(models=["test"], providers={"test": provider}, model_deadline_s=DEADLINE_S)

    async def alone() -> int:
        return 1

    built = build(settings, SYSTEM_CLOCK, alone)
    yield built
    await built.close()


async def run(models: BuiltModels, task: Task, *, manager_asks: bool = False) -> Analysis:
    asking = Asking(models, MemoryAnswers(100), 3 * DEADLINE_S)
    return await Panel(Folder(SAMPLE), asking, manager_asks=manager_asks).run(task)


async def test_a_sound_server_lets_ten_personas_speak(models: BuiltModels) -> None:
    analysis = await run(models, SNOW)
    spoken = [v for v in analysis.views["SNOW"] if isinstance(v, Opinion) and v.by == "test"]
    assert len(spoken) == 10


@pytest.mark.parametrize("fault", [f for f in get_args(Fault) if f != "injection"])
async def test_with_every_call_failing_the_rules_speak(
    fault: str, server: ModelServer, models: BuiltModels
) -> None:
    plain = await Panel(Folder(SAMPLE)).run(SNOW)
    server.default = msgspec.convert({fault: 1.0}, Faults)
    async with asyncio.timeout(10 * DEADLINE_S):
        analysis = await run(models, SNOW)
    for view, by_rules in zip(analysis.views["SNOW"], plain.views["SNOW"], strict=True):
        if isinstance(view, Opinion) and view.agent in PERSONAS:
            assert view.note.startswith("by rules, since no model answered: ")
            view = msgspec.structs.replace(view, note="")  # noqa: PLW2901 - what is left must be the rules'
        assert view == by_rules
    assert analysis.decisions == plain.decisions


async def test_injected_text_changes_no_opinion_and_no_decision(
    server: ModelServer, models: BuiltModels
) -> None:
    """Every opinion is as without it but for its sentence, and so are action, quantity and limits."""
    sound = await run(models, APPLE)
    server.default = Faults(injection=1.0)
    analysis = await run(models, APPLE)
    for view, undisturbed in zip(analysis.views["AAPL"], sound.views["AAPL"], strict=True):
        if isinstance(view, Opinion) and view.by == "test":
            assert isinstance(undisturbed, Opinion)
            assert INJECTION in view.reasoning
            assert (view.signal, view.confidence) == (undisturbed.signal, undisturbed.confidence)
    decision, undisturbed_decision = analysis.decisions["AAPL"], sound.decisions["AAPL"]
    assert (decision.action, decision.quantity) == (
        undisturbed_decision.action,
        undisturbed_decision.quantity,
    )
    assert analysis.limits == sound.limits


async def test_a_manager_that_reads_injected_text_stays_within_the_limits(
    server: ModelServer, models: BuiltModels
) -> None:
    plain = await Panel(Folder(SAMPLE)).run(APPLE)
    server.default = Faults(injection=1.0)
    analysis = await run(models, APPLE, manager_asks=True)
    assert any(
        INJECTION in view.reasoning
        for view in analysis.views["AAPL"]
        if isinstance(view, Opinion) and view.by == "test"
    )
    decision, rules = analysis.decisions["AAPL"], plain.decisions["AAPL"]
    assert analysis.limits == plain.limits
    assert decision.legal == rules.legal == {"hold": 0, "buy": 121, "short": 121}
    assert decision.action in decision.legal
    assert decision.quantity <= decision.legal[decision.action]
    assert len(decision.reason) <= 100
