"""A process that does not run cannot take replies: what it misses is no fault of the provider."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.reasoning.models.build import BuiltModels, build
from heliograph.reasoning.models.client import HttpClient
from heliograph.reasoning.models.failure import CallFailedError
from heliograph.reasoning.models.loop_lag import PERIOD_S, LoopLag
from heliograph.reasoning.models.port import Prompt, Refusal
from heliograph.reasoning.settings import ReasoningSettings

STALL_S = 0.2
PROMPT = Prompt(purpose="test", system="Be brief.", user="Why?")
Call = Callable[..., Awaitable[Any]]


async def test_a_loop_that_is_held_up_is_late_by_as_much() -> None:
    lag = LoopLag(SYSTEM_CLOCK)
    with lag.watch() as first:
        time.sleep(STALL_S)  # noqa: ASYNC251 - it holds up the loop, which is the matter
        assert first() >= STALL_S - PERIOD_S
        before = first()
        with lag.watch() as second:
            await asyncio.sleep(0)
            time.sleep(STALL_S)  # noqa: ASYNC251 - likewise
            await asyncio.sleep(2 * PERIOD_S)
            assert second() >= STALL_S - PERIOD_S
        assert first() >= before + STALL_S - PERIOD_S


async def test_the_time_before_somebody_watches_is_not_counted() -> None:
    lag = LoopLag(SYSTEM_CLOCK)
    with lag.watch():
        pass
    time.sleep(STALL_S)  # noqa: ASYNC251 - likewise
    began = time.monotonic()
    with lag.watch() as late:
        assert late() <= time.monotonic() - began


def models_with(monkeypatch: pytest.MonkeyPatch, call: Call) -> BuiltModels:
    """One provider, whose calls end as told."""

    async def alone() -> int:
        return 1

    monkeypatch.setattr(HttpClient, "call", call)
    settings = ReasoningSettings(models=["glm"], model_deadline_s=20.0)
    return build(settings, SYSTEM_CLOCK, alone, {"GLM_API_KEY": "glm-secret-1"})


@pytest.mark.parametrize("kind", ["timeout", "connection"])
async def test_a_breaker_does_not_open_for_what_the_process_itself_was_late(
    monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    async def starved(*_: Any) -> Any:
        time.sleep(STALL_S)  # noqa: ASYNC251 - another's work, in which no reply is taken
        raise CallFailedError(kind, "no reply in time", timed_out=True)

    models = models_with(monkeypatch, starved)
    monkeypatch.setattr("heliograph.common.http_retry.TRIES", 1)
    for _ in range(7):
        found = await models.ask(PROMPT)
        assert isinstance(found, Refusal)
        assert found.reason in {"timeout", "failed"}
    await models.close()


async def test_a_refused_connection_counts_however_late_the_process_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(*_: Any) -> Any:
        time.sleep(STALL_S)  # noqa: ASYNC251 - likewise
        raise CallFailedError("server", "HTTP 500")

    models = models_with(monkeypatch, refused)
    monkeypatch.setattr("heliograph.common.http_retry.TRIES", 1)
    reasons = [found.reason for _ in range(6) if isinstance(found := await models.ask(PROMPT), Refusal)]
    assert reasons == ["failed"] * 5 + ["breaker"]
    await models.close()
