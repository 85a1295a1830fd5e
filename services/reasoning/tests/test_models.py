"""Asking models over HTTP: order, hedges, retries, breakers, budgets, keys; every fault in bounded time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from heliograph.common import metrics
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.spend.keys import HIDDEN
from heliograph.reasoning.model_server.faults import FAULTS, Faults
from heliograph.reasoning.model_server.server import ModelServer
from heliograph.reasoning.models.build import BuiltModels, build
from heliograph.reasoning.models.latency import ENOUGH, UNKNOWN_S, Latency
from heliograph.reasoning.models.loop_lag import LoopLag
from heliograph.reasoning.models.port import Answer, Prompt, Refusal
from heliograph.reasoning.models.wanted import wanted
from heliograph.reasoning.settings import ReasoningSettings

SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
PROMPT = Prompt(purpose="test", system="Be brief.", user="Why?", schema=SCHEMA, max_tokens=100)
KEYS = {"GLM_API_KEY": "glm-secret-1", "DEEPSEEK_API_KEY": "deep-secret-1", "QWEN_API_KEY": "qwen-secret-1"}
MANY = 40
"""Five would do, but on a busy machine the deadline may come before a call that hangs is known to."""
Make = Callable[..., BuiltModels]
Eventually = Callable[..., Awaitable[Any]]


@pytest.fixture
async def make(server: ModelServer) -> AsyncIterator[Make]:
    """Models whose providers are all on the model server."""
    made: list[BuiltModels] = []

    def build_them(
        environment: dict[str, str] | None = None,
        changes: dict[str, dict[str, Any]] | None = None,
        **fields: Any,
    ) -> BuiltModels:
        names = fields.pop("models", ["glm", "deepseek", "qwen"])
        described = {
            name: {"base_url": server.base_url(name), "calls_per_minute": 1000}
            | (changes or {}).get(name, {})
            for name in names
        }

        async def alone() -> int | None:
            return 1

        settings = ReasoningSettings(models=names, providers=described, **fields)
        made.append(build(settings, SYSTEM_CLOCK, alone, KEYS if environment is None else environment))
        return made[-1]

    yield build_them
    for models in made:
        await models.close()


async def answered(models: BuiltModels, prompt: Prompt = PROMPT) -> Answer:
    found = await models.ask(prompt)
    assert isinstance(found, Answer), found
    return found


async def refused(models: BuiltModels, prompt: Prompt = PROMPT) -> Refusal:
    found = await models.ask(prompt)
    assert isinstance(found, Refusal), found
    return found


async def test_the_first_provider_answers_alone_and_its_bill_is_counted(
    server: ModelServer, make: Make
) -> None:
    server.default = Faults(tokens=50)
    models = make()
    answer = await answered(models)
    assert set(msgspec.json.decode(answer.text)) == {"text"}
    assert (answer.provider, answer.output_tokens, answer.cached) == ("glm", 50, False)
    # Of the table of providers: $0.20 and $1.10 a million tokens.
    assert answer.cost == pytest.approx((answer.input_tokens * 0.2 + 50 * 1.1) / 1e6, abs=1e-9)
    assert 0 < answer.latency_s < 5
    assert server.counts() == {"ok": 1}
    status: Any = models.status()["providers"]
    assert status["glm"]["spent"] == pytest.approx(answer.cost)
    assert (status["glm"]["breaker"], status["qwen"]["spent"]) == ("closed", 0.0)


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_of_the_first_leads_to_the_second_in_bounded_time(
    server: ModelServer, make: Make, fault: str
) -> None:
    faults: dict[str, Any] = {fault: 1.0, "retry_after": 0.1}
    server.faults["glm"] = Faults(**faults)
    models = make(model_deadline_s=20.0)
    # Only what hangs needs a hedge, which on a busy machine could come before a sound answer.
    models.calls[0].latency._seen.extend([0.2 if fault == "hang" else 15.0] * ENOUGH)
    began = time.monotonic()
    answer = await answered(models)
    assert time.monotonic() - began < 20
    # Text with instructions in it is a sound reply as far as a client can tell; who uses it must not obey it.
    assert answer.provider == ("glm" if fault == "injection" else "deepseek")
    assert "qwen" not in {call.provider for call in server.calls}


@pytest.mark.parametrize("fault", [f for f in FAULTS if f != "injection"])
async def test_when_all_fail_there_is_a_refusal_in_bounded_time(
    server: ModelServer, make: Make, fault: str
) -> None:
    faults: dict[str, Any] = {fault: 1.0, "retry_after": 0.1}
    server.default = Faults(**faults)
    models = make(model_deadline_s=1.0)
    began = time.monotonic()
    refusal = await refused(models)
    assert time.monotonic() - began < 8
    expected = {
        "unauthorized": {"no_key"},
        "hang": {"timeout"},
        "empty": {"invalid"},
        "invalid_json": {"invalid"},
        "wrong_schema": {"invalid"},
    }
    assert refusal.reason in expected.get(fault, {"failed", "timeout"})


async def test_a_slow_first_is_hedged_and_the_loser_is_cancelled_and_counted(
    server: ModelServer, make: Make, eventually: Eventually
) -> None:
    models = make()
    first = models.calls[0]
    first.latency._seen.extend([1.0] * ENOUGH)
    server.faults["glm"] = Faults(latency="30")
    before = metrics.MODEL_HEDGES.labels("deepseek")._value.get()
    began = time.monotonic()
    answer = await answered(models)
    assert answer.provider == "deepseek"
    assert 1.0 <= time.monotonic() - began < 10
    assert metrics.MODEL_HEDGES.labels("deepseek")._value.get() == before + 1

    async def left() -> bool:
        return server.counts("glm") == {"left": 1} and server.running == 0

    await eventually(left)
    # A hedge is a paid call: the one that was cancelled counts its estimate.
    assert models.spend.spent(first.meter) == first.provider.estimate() == 1_000_000
    assert first.breaker.state(time.monotonic()) == "closed"


@pytest.fixture
def never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process itself always runs, however busy the machine is."""
    monkeypatch.setattr(LoopLag, "_whole", lambda _: 0.0)


@pytest.mark.usefixtures("never_late")
async def test_a_first_that_hangs_is_soon_left_alone(server: ModelServer, make: Make) -> None:
    models = make()
    models.calls[0].latency._seen.extend([0.4] * ENOUGH)
    server.faults["glm"] = Faults(hang=1.0)
    breaker = models.calls[0].breaker
    for _ in range(MANY):
        assert (await answered(models)).provider == "deepseek"
        # The loser learns only after the answer that it was given up.
        await models.ordered.close()
        if breaker.state(time.monotonic()) == "open":
            break
    assert breaker.state(time.monotonic()) == "open"
    hedges = metrics.MODEL_HEDGES.labels("deepseek")._value.get()
    assert (await answered(models)).provider == "deepseek"
    assert metrics.MODEL_HEDGES.labels("deepseek")._value.get() == hedges


@pytest.mark.usefixtures("never_late")
async def test_when_all_hang_the_breakers_open(server: ModelServer, make: Make) -> None:
    models = make(models=["glm"], model_deadline_s=0.3)
    server.default = Faults(hang=1.0)
    reasons = [(await refused(models)).reason for _ in range(5)]
    while reasons[-1] != "breaker" and len(reasons) < MANY:
        reasons.append((await refused(models)).reason)
    assert set(reasons[:-1]) == {"timeout"}
    assert reasons[-1] == "breaker"


async def test_a_quick_first_is_not_hedged(server: ModelServer, make: Make) -> None:
    models = make()
    server.faults["glm"] = Faults(latency="0.05")
    for _ in range(5):
        assert (await answered(models)).provider == "glm"
    assert {call.provider for call in server.calls} == {"glm"}


async def test_the_first_success_wins_not_the_first_end(server: ModelServer, make: Make) -> None:
    models = make(models_at_once=True)
    server.faults["deepseek"] = Faults(no_balance=1.0)
    server.faults["glm"] = Faults(latency="0.3")
    assert (await answered(models)).provider == "glm"
    assert server.counts("deepseek") == {"no_balance": 1}


async def test_the_third_is_asked_only_when_both_have_failed(server: ModelServer, make: Make) -> None:
    models = make()
    server.faults["glm"] = server.faults["deepseek"] = Faults(no_balance=1.0)
    assert (await answered(models)).provider == "qwen"
    assert [call.provider for call in server.calls] == ["glm", "deepseek", "qwen"]


async def test_a_retry_waits_as_long_as_it_is_asked_to(server: ModelServer, make: Make) -> None:
    models = make(models=["glm"])
    server.faults["glm"] = Faults(rate_limited=1.0, retry_after=0.5)

    async def recover() -> None:
        while not server.calls:
            await asyncio.sleep(0.01)
        server.faults["glm"] = Faults()

    async with asyncio.TaskGroup() as group:
        group.create_task(recover())
        answer = await answered(models)
    times = [call.at for call in server.calls]
    assert len(times) == 2
    assert times[1] - times[0] >= 0.5
    assert answer.latency_s >= 0.5


async def test_a_wait_beyond_the_deadline_is_not_waited_for(server: ModelServer, make: Make) -> None:
    models = make(models=["glm"], model_deadline_s=3.0)
    server.faults["glm"] = Faults(rate_limited=1.0, retry_after=60)
    assert (await refused(models)).reason == "failed"
    assert len(server.calls) == 1


async def test_at_most_two_retries(server: ModelServer, make: Make) -> None:
    models = make(models=["glm"])
    server.faults["glm"] = Faults(server_error=1.0)
    assert (await refused(models)).reason == "failed"
    assert len(server.calls) == 3


async def test_a_breaker_opens_and_closes_again(
    server: ModelServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = make(models=["glm"])
    breaker = models.calls[0].breaker
    server.faults["glm"] = Faults(no_balance=1.0)
    for _ in range(5):
        assert (await refused(models)).reason == "failed"
    assert (await refused(models)).reason == "breaker"
    assert len(server.calls) == 5
    server.faults["glm"] = Faults()
    monkeypatch.setattr(breaker, "_pause_s", 0.0)  # the minute is over
    await answered(models)
    await answered(models)
    assert breaker.state(time.monotonic()) == "closed"


async def test_out_of_budget_is_no_failure_and_the_next_one_is_asked(server: ModelServer, make: Make) -> None:
    server.default = Faults(tokens=100)
    models = make(changes={"glm": {"daily_budget": 0.0005}})
    for _ in range(8):
        assert (await answered(models)).provider == "deepseek"
    assert models.calls[0].breaker.state(time.monotonic()) == "closed"
    assert "glm" not in {call.provider for call in server.calls}
    alone = make(models=["glm"], changes={"glm": {"daily_budget": 0.0}})
    refusal = await refused(alone)
    assert (refusal.reason, "used" in refusal.detail) == ("budget", True)


async def test_a_full_window_is_skipped(server: ModelServer, make: Make) -> None:
    models = make(changes={"glm": {"calls_per_minute": 2}})
    found = [(await answered(models)).provider for _ in range(3)]
    assert found == ["glm", "glm", "deepseek"]
    assert models.calls[0].breaker.state(time.monotonic()) == "closed"


async def test_a_refused_key_gives_way_to_the_second_and_is_counted_for_the_alert(
    server: ModelServer, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    counted = metrics.KEYS_REFUSED.labels("glm")._value
    before = counted.get()
    server.faults["glm"] = Faults(refused_keys=("glm-secret-1",))
    models = make(KEYS | {"GLM_API_KEY_2": "glm-secret-2"})
    assert (await answered(models)).provider == "glm"
    assert server.counts("glm") == {"unauthorized": 1, "ok": 1}
    assert counted.get() == before + 1
    assert (await answered(models)).provider == "glm"
    assert server.counts("glm") == {"unauthorized": 1, "ok": 2}
    assert set(models.keys().values()) == {"held"}
    server.default = Faults(unauthorized=1.0)
    server.faults = {}
    refusal = await refused(models)
    assert refusal.reason == "no_key"
    assert counted.get() == before + 2
    assert models.keys() == dict.fromkeys(KEYS, "refused")
    shown = capsys.readouterr()
    everything = refusal.detail + shown.out + shown.err
    assert "key refused" in everything
    assert "secret-" not in everything


async def test_a_key_that_a_provider_repeats_is_hidden(server: ModelServer, make: Make) -> None:
    models = make(models=["glm"], changes={"glm": {"model": "glm-secret-1"}})
    first = models.calls[0]
    await first._key()
    assert (
        first._refusal("failed", "the key glm-secret-1 is wrong").detail == f"glm: the key {HIDDEN} is wrong"
    )


async def test_without_a_key_the_provider_is_passed_over(server: ModelServer, make: Make) -> None:
    models = make({"QWEN_API_KEY": "qwen-secret-1"})
    assert (await answered(models)).provider == "qwen"
    assert models.keys() == dict.fromkeys(KEYS, "missing") | {"QWEN_API_KEY": "held"}
    assert {call.provider for call in server.calls} == {"qwen"}
    assert (await refused(make({}))).reason == "no_key"


async def test_a_provider_that_is_not_there_is_passed_over_unbilled(server: ModelServer, make: Make) -> None:
    models = make(changes={"glm": {"base_url": "http://127.0.0.1:1/v1"}})
    assert (await answered(models)).provider == "deepseek"
    assert models.spend.spent(models.calls[0].meter) == 0


async def test_too_large_a_question_is_not_asked(server: ModelServer, make: Make) -> None:
    large = msgspec.structs.replace(PROMPT, user="x" * 70_000)
    assert (await refused(make(models=["glm"]), large)).reason == "invalid"
    assert not server.calls


async def test_anthropics_form_is_spoken_too(server: ModelServer, make: Make) -> None:
    models = make({"ANTHROPIC_API_KEY": "claude-secret-1"}, models=["anthropic"])
    answer = await answered(models)
    assert (answer.provider, set(msgspec.json.decode(answer.text))) == ("anthropic", {"text"})


@pytest.mark.parametrize(
    ("fields", "environment", "expected"),
    [
        ({}, {}, False),
        ({}, {"GLM_API_KEY": " "}, False),
        ({}, {"OPENAI_API_KEY": "x"}, False),
        ({}, {"QWEN_API_KEY": "x"}, True),
        ({"models": ["ollama"]}, {}, True),
        ({"models": []}, {"GLM_API_KEY": "x"}, False),
        ({"keys_folder": "/run/secrets"}, {}, True),
        ({"keys_secret": "heliograph/keys"}, {}, True),
    ],
)
def test_models_are_wanted_where_there_may_be_a_key(
    fields: dict[str, Any], environment: dict[str, str], *, expected: bool
) -> None:
    assert wanted(ReasoningSettings(**fields), environment) is expected


def test_the_p95_is_that_of_the_last_calls() -> None:
    latency = Latency()
    assert latency.p95() == UNKNOWN_S
    for n in range(1, 201):
        latency.add(float(n))
    assert latency.p95() == 195.0
