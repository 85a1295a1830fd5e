"""Requests and replies of providers: the recorded ones decode, the errors are told apart."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common import http_retry
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import ConfigError
from heliograph.reasoning.models import calls, wire
from heliograph.reasoning.models.conform import conforming
from heliograph.reasoning.models.failure import CallFailedError, http_failure
from heliograph.reasoning.models.port import Prompt
from heliograph.reasoning.models.provider import KNOWN, Provider, providers
from heliograph.reasoning.settings import ReasoningSettings

FOLDER = Path(__file__).parent / "payloads"
NOW_NS = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()) * NANOSECONDS
GLM, CLAUDE = KNOWN["glm"], KNOWN["anthropic"]
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
PROMPT = Prompt(purpose="reason", system="Be brief.", user="Why?", schema=SCHEMA, max_tokens=77)


def rows(name: str) -> dict[str, dict[str, Any]]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return {row["name"]: row for row in map(json.loads, lines)}


REPLIES, ERRORS = rows("replies.jsonl"), rows("errors.jsonl")
GOOD = {  # name: start of the text, input tokens, those from the provider's cache, output tokens
    "zai_model_simple-0": ("2 + 2 is 4.", 13, 0, 437),
    "zai_glm_5_3_reasoning_effort-0": ("2 + 2 = 4", 20, 0, 125),
    "deepseek_model_thinking_part-0": ("Crossing the street safely", 12, 0, 789),
    "ollama_local_native_output_uses_json_schema-0": ('{ "city": "Paris"', 136, 0, 15),
    "openai_native_output-1": ('{"city":"Mexico City"', 92, 0, 15),
    "crusoe_native_output-0": ('{ "city": "Paris"', 20, 0, 233),
    "groq_native_output-0": ('{"city":"Mexico City"', 178, 0, 94),
    "simple_completion-0": ("Hello!", 4, 0, 197),
    "ollama_cloud_prompted_output-0": ('{"name":"Loki"', 172, 0, 88),
    "deepseek-json": ('{\n  "location"', 495, 320, 144),
    "alibaba-text": ("## The Festival", 18, 0, 1064),
    "xai-text": ("Grok", 12, 2, 322),
    "moonshotai-text": ("Hello, world!", 9, 0, 5),
}
USELESS = {
    "openai_native_output-0": "empty",
    "deepseek-text": "cut off",
    "deepseek-tool-call": "empty",
}


def decode(name: str) -> wire.Reply:
    return wire.reply(GLM, json.dumps(REPLIES[name]["body"]).encode())


@pytest.mark.parametrize("name", GOOD)
def test_recorded_replies(name: str) -> None:
    start, given_in, cached, out = GOOD[name]
    reply = decode(name)
    assert reply.text.startswith(start)
    assert (reply.input_tokens, reply.cached_tokens, reply.output_tokens) == (given_in, cached, out)


@pytest.mark.parametrize("name", USELESS)
def test_recorded_replies_of_no_use_are_billed(name: str) -> None:
    with pytest.raises(CallFailedError, match=USELESS[name]) as caught:
        decode(name)
    assert caught.value.kind == "invalid"
    assert (caught.value.cost or 0) > 0


def test_every_recorded_reply_is_expected() -> None:
    failed = {name for name, row in REPLIES.items() if row["status"] != 200}
    assert set(REPLIES) == set(GOOD) | set(USELESS) | failed
    for name in failed:
        kind = failure(REPLIES[name]["status"], REPLIES[name]["body"]).kind
        assert kind == {429: "rate", 404: "refused", 400: "refused"}[REPLIES[name]["status"]]


def failure(status: int, body: Any, **headers: str) -> CallFailedError:
    return http_failure(status, headers, json.dumps(body).encode(), NOW_NS)


@pytest.mark.parametrize("name", ERRORS)
def test_recorded_errors(name: str) -> None:
    row = ERRORS[name]
    expected = {400: "refused", 401: "key", 404: "refused", 429: "rate"}[row["status"]]
    found = failure(row["status"], row["body"])
    assert (found.kind, found.retryable) == (expected, expected == "rate")
    assert str(row["status"]) in found.detail


@pytest.mark.parametrize(
    ("status", "body", "kind", "wait"),
    [
        (
            402,
            {"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}},
            "balance",
            None,
        ),
        (429, {"error": {"code": "1113", "message": "no balance"}}, "balance", None),
        (400, {"code": "Arrearage", "message": "Access denied"}, "balance", None),
        (429, {"error": {"type": "insufficient_quota", "message": "quota"}}, "balance", None),
        (
            429,
            {"error": {"code": "rate_limit_exceeded", "message": "Please try again in 20s."}},
            "rate",
            20.0,
        ),
        (429, {"error": {"message": "exceeded, please try again after 1 seconds"}}, "rate", 1.0),
        (429, {"error": {"message": "Retry in 250ms"}}, "rate", 0.25),
        (
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            "server",
            None,
        ),
        (503, "<html>no", "server", None),
        (408, {}, "server", None),
        (403, {"error": "forbidden"}, "key", None),
        (422, {"error": "what is this"}, "refused", None),
    ],
)
def test_documented_errors(status: int, body: Any, kind: str, wait: float | None) -> None:
    found = failure(status, body)
    assert (found.kind, found.retry_after) == (kind, wait)
    assert found.retryable is (kind in {"rate", "server"})


def test_what_the_header_asks_for_goes_before_the_message() -> None:
    body = {"error": {"message": "Please try again in 20s."}}
    assert failure(429, body, **{"retry-after": "Mon, 02 Mar 2026 12:00:30 GMT"}).retry_after == 30.0
    assert failure(429, body, **{"retry-after": "soon"}).retry_after == 20.0
    assert failure(429, {"error": {"message": "try again in 9999999s"}}).retry_after == 86_400.0


def test_an_error_about_a_key_repeats_nothing_of_it() -> None:
    body = {"error": {"message": "Incorrect API key provided: sk-secret-123", "code": "invalid_api_key"}}
    assert "secret" not in str(failure(401, body))
    assert failure(400, body).kind == "key"


def outcome(provider: Provider, body: bytes) -> str:
    try:
        return "reply" if wire.reply(provider, body).text else "empty"
    except CallFailedError as error:
        return error.kind


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["choices", "message", "usage", "content", "error", "model"]), inner),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_body_is_a_reply_or_a_failure(body: bytes) -> None:
    for provider in (GLM, CLAUDE):
        assert outcome(provider, body) in {"reply", "invalid", "server"}
    http_failure(500, {}, body, NOW_NS)


@pytest.mark.parametrize("provider", KNOWN.values(), ids=lambda p: p.name)
def test_the_fixed_part_goes_first_and_the_schema_with_it(provider: Provider) -> None:
    asked = wire.request(provider, PROMPT, "key-1")
    body = json.loads(asked.body)
    assert asked.url.startswith(provider.base_url)
    assert asked.body.index(b"Be brief.") < asked.body.index(b"Why?")
    assert b"key-1" not in asked.body
    assert body["model"] == provider.model
    if provider.form == "anthropic":
        assert asked.headers["x-api-key"] == "key-1"
        assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
        assert (body["tools"][0]["input_schema"], body["max_tokens"]) == (SCHEMA, 77)
        return
    assert asked.headers["authorization"] == "Bearer key-1"
    assert body[provider.limit_field] == 77
    if provider.structured == "json_schema":
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    else:
        assert body["response_format"] == {"type": "json_object"}
        assert json.dumps(SCHEMA["required"]) in body["messages"][0]["content"].replace(",", ", ")


def test_without_a_key_or_a_schema_none_is_sent() -> None:
    asked = wire.request(KNOWN["ollama"], msgspec.structs.replace(PROMPT, schema=None), "")
    assert "authorization" not in asked.headers
    assert "response_format" not in json.loads(asked.body)


CLAUDE_REPLY: dict[str, Any] = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [{"type": "tool_use", "id": "toolu_1", "name": "reply", "input": {"text": "Because."}}],
    "stop_reason": "tool_use",
    "usage": {
        "input_tokens": 20,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 100,
        "output_tokens": 9,
    },
}


def test_a_message_of_anthropic() -> None:
    reply = wire.reply(CLAUDE, json.dumps(CLAUDE_REPLY).encode())
    assert json.loads(reply.text) == {"text": "Because."}
    assert (reply.input_tokens, reply.cached_tokens, reply.output_tokens) == (125, 100, 9)
    # 25 fresh at $1, 100 cached at $0.10, 9 out at $5 a million: 25 + 10 + 45 = 80 millionths of a dollar.
    assert CLAUDE.cost(125, 100, 9) == 80_000
    plain = CLAUDE_REPLY | {"content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "cause."}]}
    assert wire.reply(CLAUDE, json.dumps(plain).encode()).text == "Because."
    with pytest.raises(CallFailedError, match="cut off"):
        wire.reply(CLAUDE, json.dumps(CLAUDE_REPLY | {"stop_reason": "max_tokens"}).encode())


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ('{"text": "a"}', '{"text": "a"}'),
        ('```json\n{"text": "a"}\n```', '{"text": "a"}'),
        ('{"text": 1}', None),
        ('{"txt": "a"}', None),
        ('Here it is: {"text": "a"}', None),
        ("[]", None),
    ],
)
def test_only_what_satisfies_the_schema_is_taken(text: str, bare: str | None) -> None:
    assert conforming(text, SCHEMA) == bare


def test_what_is_reserved_is_never_less_than_what_is_billed() -> None:
    # A token is at least a byte, so a request of 900 bytes has at most 900 tokens.
    for provider in KNOWN.values():
        assert provider.most(900, 500) >= provider.cost(900, 0, 500)
        assert provider.most(900, 500) >= provider.estimate()


def test_providers_are_known_changed_or_described() -> None:
    found = providers(
        ["glm", "mine"], {"glm": {"model": "glm-x"}, "mine": {"base_url": "http://h/v1", "model": "m"}}
    )
    assert [(p.name, p.model) for p in found] == [("glm", "glm-x"), ("mine", "m")]
    assert found[0].base_url == GLM.base_url


def test_the_limits_are_those_of_the_design() -> None:
    told = {
        name: (p.model, p.calls_per_minute, p.call_price, p.daily_budget)
        for name in ("glm", "deepseek", "qwen")
        if (p := KNOWN[name])
    }
    assert told == {
        "glm": ("glm-4.5-air", 20, 0.001, 25.0),
        "deepseek": ("deepseek-chat", 20, 0.0015, 10.0),
        "qwen": ("qwen-turbo", 20, 0.002, 5.0),
    }
    settings = ReasoningSettings()
    assert settings.models == list(told)
    assert (settings.model_deadline_s, settings.explanation_ttl_s, settings.reason_strong) == (10, 3600, 80)
    assert (settings.models_at_once, settings.reason_models) == (False, "between")
    assert (http_retry.TRIES - 1, calls.RATE_WAIT_S) == (2, 2.0)


def test_the_page_tells_the_limits_of_every_provider() -> None:
    page = next(found for p in Path(__file__).resolve().parents if (found := p / "docs/models.md").is_file())
    row = re.compile(r"^\| `(\w+)` \| (.+) \| (\S+) \| (.+) \| (\d+) \|$", re.MULTILINE)
    told = {name: tuple(rest) for name, *rest in row.findall(page.read_text("utf-8"))}
    assert told == {
        name: (
            f"`{p.key}`" if p.key else "none",
            p.model,
            f"{p.daily_budget:g}" if p.key else "nothing to pay",
            str(p.calls_per_minute),
        )
        for name, p in KNOWN.items()
    }


def test_a_price_that_is_changed_has_a_month_of_its_own() -> None:
    assert GLM.priced
    months = [
        providers(["glm"], {"glm": change})[0].priced
        for change in ({"daily_budget": 1}, {"input_price": 0.1}, {"input_price": 0.1, "priced": "2027-01"})
    ]
    assert months == [GLM.priced, "", "2027-01"]


@pytest.mark.parametrize(
    ("order", "changes", "message"),
    [
        (["gml"], {}, "gml.*known are glm"),
        (["glm", "glm"], {}, "twice"),
        (["glm"], {"glm": {"modle": "x"}}, "modle"),
        (["glm"], {"mine": {"base_url": "http://h"}}, "mine"),
        (["glm"], {"glm": {"base_url": "h"}}, "base_url"),
        (["glm"], {"glm": {"calls_per_minute": 0}}, "calls_per_minute"),
        (["glm"], {"glm": {"daily_budget": -1}}, "daily_budget"),
        (["glm"], {"glm": {"priced": "last spring"}}, "priced.*2026-04"),
    ],
)
def test_a_wrong_provider_is_named(
    order: list[str], changes: dict[str, dict[str, Any]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        providers(order, changes)
