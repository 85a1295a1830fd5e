"""Requests and replies as providers write them: OpenAI's chat completions and Anthropic's messages. Pure."""

import re
from typing import Any

import msgspec

from heliograph.reasoning.models.failure import CallFailedError, told
from heliograph.reasoning.models.port import Prompt
from heliograph.reasoning.models.provider import Provider

TOOL = "reply"
ANTHROPIC_VERSION = "2023-06-01"
_THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""What models that think aloud write before their answer."""
SCHEMA_WORDS = "Reply with one JSON object and nothing else. It must satisfy this JSON Schema: "


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider replied, with its usage; `input_tokens` hold the cached ones."""

    text: str
    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request; the headers hold the key and are shown nowhere."""

    url: str
    headers: dict[str, str]
    body: bytes


def request(provider: Provider, prompt: Prompt, key: str) -> Request:
    """The request of a prompt; the fixed part goes first, for the provider's cache of prompts."""
    if provider.form == "anthropic":
        return Request(
            url=provider.base_url.rstrip("/") + "/v1/messages",
            headers={"x-api-key": key, "anthropic-version": ANTHROPIC_VERSION, **JSON},
            body=msgspec.json.encode(_messages(provider, prompt)),
        )
    return Request(
        url=provider.base_url.rstrip("/") + "/chat/completions",
        headers={**({"authorization": f"Bearer {key}"} if key else {}), **JSON},
        body=msgspec.json.encode(_chat(provider, prompt)),
    )


JSON = {"content-type": "application/json", "accept": "application/json"}


def _told_schema(prompt: Prompt, structured: str) -> str:
    """The fixed part, with the schema where the provider is not given it by itself."""
    if prompt.schema is None or structured in {"json_schema", "tool"}:
        return prompt.system
    schema = msgspec.json.encode(prompt.schema, order="sorted").decode()
    return f"{prompt.system}\n\n{SCHEMA_WORDS}{schema}"


def _options(provider: Provider, prompt: Prompt) -> dict[str, Any]:
    """What requests of both forms carry."""
    return {
        "model": provider.model,
        provider.limit_field: prompt.max_tokens,
        "temperature": prompt.temperature,
    }


def _chat(provider: Provider, prompt: Prompt) -> dict[str, Any]:
    body = _options(provider, prompt) | {
        "messages": [
            {"role": "system", "content": _told_schema(prompt, provider.structured)},
            {"role": "user", "content": prompt.user},
        ],
        "stream": False,
    }
    if prompt.schema is not None and provider.structured == "json_schema":
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": TOOL, "strict": True, "schema": prompt.schema},
        }
    elif prompt.schema is not None and provider.structured == "json_object":
        body["response_format"] = {"type": "json_object"}
    return body | provider.extra


def _messages(provider: Provider, prompt: Prompt) -> dict[str, Any]:
    fixed = {"type": "text", "text": _told_schema(prompt, provider.structured)}
    body = _options(provider, prompt) | {
        "system": [fixed | {"cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": prompt.user}],
    }
    if prompt.schema is not None and provider.structured == "tool":
        body["tools"] = [{"name": TOOL, "description": "Gives the reply.", "input_schema": prompt.schema}]
        body["tool_choice"] = {"type": "tool", "name": TOOL}
    return body | provider.extra


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: int | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []
    model: str = ""
    usage: _Usage | None = None
    error: Any = None


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    input: msgspec.Raw = msgspec.Raw(b"")


class _MessageUsage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _MessageReply(msgspec.Struct):
    content: list[_Block] = []
    model: str = ""
    usage: _MessageUsage | None = None
    stop_reason: str | None = None
    error: Any = None


_completion = msgspec.json.Decoder(_Completion)
_message = msgspec.json.Decoder(_MessageReply)


def reply(provider: Provider, body: bytes) -> Reply:
    """The reply of a body with status 200.

    Raises:
        CallFailedError: `invalid` where it is not a reply, or was cut off at its length; `server` where it
            is an error in spite of the status.
    """
    return _anthropic(provider, body) if provider.form == "anthropic" else _openai(provider, body)


def _openai(provider: Provider, body: bytes) -> Reply:
    try:
        read = _completion.decode(body)
    except msgspec.DecodeError as error:
        raise CallFailedError("invalid", f"body: {error}") from None
    if read.error is not None:
        raise _in_body(body)
    usage = read.usage or _Usage()
    details = usage.prompt_tokens_details or _Details()
    found = Reply(
        text=_THINKING.sub("", read.choices[0].message.content or "").strip() if read.choices else "",
        model=read.model or provider.model,
        input_tokens=usage.prompt_tokens,
        cached_tokens=min(usage.prompt_tokens, details.cached_tokens or usage.prompt_cache_hit_tokens or 0),
        # Some count the tokens of a model's thinking in the total alone.
        output_tokens=max(usage.completion_tokens, usage.total_tokens - usage.prompt_tokens),
    )
    if read.choices and read.choices[0].message.refusal:
        raise _useless(provider, found, "the model refuses to answer")
    return _checked(provider, found, cut=bool(read.choices) and read.choices[0].finish_reason == "length")


def _anthropic(provider: Provider, body: bytes) -> Reply:
    try:
        read = _message.decode(body)
    except msgspec.DecodeError as error:
        raise CallFailedError("invalid", f"body: {error}") from None
    if read.error is not None:
        raise _in_body(body)
    usage = read.usage or _MessageUsage()
    cached = usage.cache_read_input_tokens or 0
    called = [bytes(block.input).decode() for block in read.content if block.type == "tool_use"]
    text = "".join(block.text for block in read.content if block.type == "text")
    found = Reply(
        text=(called[0] if called else text).strip(),
        model=read.model or provider.model,
        input_tokens=usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0),
        cached_tokens=cached,
        output_tokens=usage.output_tokens,
    )
    return _checked(provider, found, cut=read.stop_reason == "max_tokens")


def _checked(provider: Provider, found: Reply, *, cut: bool) -> Reply:
    if cut:
        raise _useless(provider, found, "the reply was cut off at its greatest length")
    if not found.text:
        raise _useless(provider, found, "the reply is empty")
    return found


def _useless(provider: Provider, found: Reply, why: str) -> CallFailedError:
    billed = found.input_tokens + found.output_tokens > 0
    cost = provider.cost(found.input_tokens, found.cached_tokens, found.output_tokens)
    return CallFailedError("invalid", why, cost=cost if billed else None)


def _in_body(body: bytes) -> CallFailedError:
    codes, message = told(body)
    return CallFailedError("server", f"error in the reply: {', '.join(sorted(codes)) or message[:80]}")
