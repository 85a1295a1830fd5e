"""A model that fails every other time: it is tried again as far as its budget of retries goes."""

import itertools
from typing import Any

import pytest

from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.retry_budget import CALLS_A_RETRY, FLOOR
from heliograph.reasoning.models import wire
from heliograph.reasoning.models.build import build
from heliograph.reasoning.models.client import HttpClient
from heliograph.reasoning.models.failure import CallFailedError
from heliograph.reasoning.models.port import Answer, Prompt, Refusal
from heliograph.reasoning.settings import ReasoningSettings

REPLY = wire.Reply(text="so", model="m", input_tokens=10, cached_tokens=0, output_tokens=1)
QUESTIONS = 30


async def test_retries_stay_within_their_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.common.http_retry.PAUSE", lambda _: 0.0)
    calls = itertools.count()

    async def every_other(*_: Any) -> wire.Reply:
        if next(calls) % 2 == 0:
            raise CallFailedError("server", "HTTP 503")
        return REPLY

    async def alone() -> int:
        return 1

    monkeypatch.setattr(HttpClient, "call", every_other)
    settings = ReasoningSettings(
        models=["ollama"], providers={"ollama": {"calls_per_minute": 1000}}, model_deadline_s=60.0
    )
    models = build(settings, SYSTEM_CLOCK, alone, {})
    found = [
        await models.ask(Prompt(purpose="test", system="Be brief.", user=f"Why {n}?"))
        for n in range(QUESTIONS)
    ]
    await models.close()
    refused = {n: each for n, each in enumerate(found) if isinstance(each, Refusal)}
    assert min(refused) == FLOOR + 2
    assert refused[FLOOR + 2].reason == "failed"
    assert "HTTP 503; not asked again" in refused[FLOOR + 2].detail
    assert sum(isinstance(each, Answer) for each in found) == QUESTIONS - len(refused)
    assert FLOOR < next(calls) - QUESTIONS <= FLOOR + QUESTIONS // CALLS_A_RETRY
