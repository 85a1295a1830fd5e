"""`query.reasoning.spend` on the real NATS and Redis: every call, cent and cached answer of all replicas."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.errors import InputError
from heliograph.common.events import Signal, Vote, encode
from heliograph.common.ids import derive_id
from heliograph.common.service import Context, Delivery
from heliograph.reasoning.model_server.faults import Faults
from heliograph.reasoning.model_server.server import ModelServer
from heliograph.reasoning.service import ReasoningService
from heliograph.reasoning.settings import ReasoningSettings

Make = Callable[..., Awaitable[ReasoningService]]


@pytest.fixture
async def start(
    bus: Bus, nats_settings: Settings, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Make]:
    started: list[ReasoningService] = []
    server.default = Faults(tokens=50)
    monkeypatch.setenv("GLM_API_KEY", "glm-key")
    monkeypatch.setenv("DEEPSEEK_API_KEY", "deepseek-key")

    async def make(redis_url: str = "", **fields: Any) -> ReasoningService:
        providers = {n: {"base_url": server.base_url(n), "calls_per_minute": 90} for n in ("glm", "deepseek")}
        values = {"models": ["glm", "deepseek"], "providers": providers} | fields
        settings = ReasoningSettings(nats_url=nats_settings.nats_url, shards=4, redis_url=redis_url, **values)
        context = Context(name="reasoning", member="m", settings=settings, bus=bus, clock=SYSTEM_CLOCK)
        service = ReasoningService()
        await service.start(context)
        started.append(service)
        return service

    yield make
    for service in started:
        await service.stop()


async def explain(service: ReasoningService, signals: list[Signal]) -> None:
    await service.processor(0).handle(
        "signals",
        [
            Delivery(event=s, subject="signal.0.X", data=encode(s), seq=n + 1, headers={})
            for n, s in enumerate(signals)
        ],
    )


@pytest.fixture
def signals(make_signal: Callable[..., Signal]) -> list[Signal]:
    """Twelve signals by the votes of three sources, about which a model is asked."""
    return [
        make_signal(
            id=derive_id("test", n),
            symbol="AAPL",
            raw_confidence=78.0,
            entry=160.0 + n,
            votes=[Vote(source=f"s{n % 3}", direction=1, confidence=0.9, weight=1.0)],
        )
        for n in range(12)
    ]


async def test_every_call_is_told_whichever_replica_made_it(
    bus: Bus, start: Make, server: ModelServer, signals: list[Signal], redis_server: Any
) -> None:
    one, two = await start(redis_server.url), await start(redis_server.url)
    await explain(one, signals[:6])
    server.faults["glm"] = Faults(wrong_schema=1.0)
    await explain(two, [*signals[6:], *(s for s in signals[:1])])
    server.faults["glm"] = Faults(unauthorized=1.0)
    for service in (one, two):
        assert service._usage
        await service._usage.close()
    told = await bus.request("query.reasoning.spend", {})
    assert (told["currency"], told["signals"], told["alone"]) == ("USD", 13, False)
    # Three questions are new; the other ten find the answers of those, in the same replica or in Redis.
    assert told["hit_rate"] == pytest.approx(10 / 13)
    (glm, deepseek) = told["providers"]
    assert (glm["provider"], glm["model"], glm["breaker"]) == ("glm", "glm-4.5-air", "closed")
    assert (glm["calls"], glm["failures"], glm["cached"]) == (3, 0, 10)
    assert glm["tokens_out"] == 150
    assert glm["purposes"]["reason"]["calls"] == 3
    assert deepseek["calls"] == 0
    (budget, _) = told["budgets"]
    assert (budget["name"], budget["limit"], budget["reserved"]) == ("glm", 25.0, 0.0)
    assert budget["spent"] == pytest.approx(told["total"]) == pytest.approx(glm["cost"])
    assert budget["spent"] > 0
    assert budget["left"] == pytest.approx(25.0 - budget["spent"])
    assert told["cost_per_signal"] == pytest.approx(told["total"] / 13)
    assert told["calls_per_signal"] == pytest.approx(3 / 13)
    assert told["month"]["total"] == pytest.approx(told["total"])
    assert told["month"]["days"][-1]["calls"] == 3


async def test_failures_are_counted_with_what_they_cost(
    bus: Bus, start: Make, server: ModelServer, signals: list[Signal]
) -> None:
    server.faults["glm"] = Faults(wrong_schema=1.0, tokens=50)
    service = await start()
    await explain(service, signals[:1])
    told = await bus.request("query.reasoning.spend", {})
    glm, deepseek = told["providers"]
    assert (glm["calls"], glm["failures"], deepseek["calls"]) == (1, 1, 1)
    assert glm["cost"] > 0
    assert told["total"] == pytest.approx(glm["cost"] + deepseek["cost"])
    assert (told["hit_rate"], told["alone"]) == (0.0, True)


async def test_what_is_reserved_is_told_while_a_call_is_under_way(
    bus: Bus, start: Make, server: ModelServer, signals: list[Signal], eventually: Any, redis_server: Any
) -> None:
    server.default = Faults(hang=1.0)
    service = await start(redis_server.url, model_deadline_s=8.0)
    explaining = asyncio.create_task(explain(service, signals[:1]))

    async def reserved() -> bool:
        told = await bus.request("query.reasoning.spend", {})
        return bool(told["budgets"][0]["reserved"] > 0)

    await eventually(reserved)
    explaining.cancel()


async def test_without_a_key_there_is_an_answer_too(
    bus: Bus, start: Make, signals: list[Signal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLM_API_KEY")
    monkeypatch.delenv("DEEPSEEK_API_KEY")
    service = await start()
    await explain(service, signals)
    told = await bus.request("query.reasoning.spend", {})
    assert (told["total"], told["budgets"], told["providers"], told["hit_rate"]) == (0.0, [], [], None)
    assert (told["signals"], told["cost_per_signal"]) == (12, 0.0)
    with pytest.raises(InputError, match="query"):
        await bus.request("query.reasoning.runs", {"limit": 0})
