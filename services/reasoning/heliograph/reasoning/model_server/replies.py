"""The bodies that the model server sends, in the forms of OpenAI and of Anthropic. Pure."""

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.responses import JSONResponse, Response

from heliograph.reasoning.model_server.content import INJECTION, WRONG, content
from heliograph.reasoning.model_server.faults import Fault
from heliograph.reasoning.models.wire import TOOL

BYTES_A_TOKEN = 4
Form = Callable[[dict[str, Any], "Reply"], dict[str, Any]]


class Reply(msgspec.Struct, frozen=True):
    """What the model says, with its usage."""

    text: str
    input_tokens: int
    output_tokens: int


def reply(body: dict[str, Any], fault: Fault | None, tokens: int) -> Reply:
    """The reply to a chat request."""
    text = _text(body, fault)
    asked = sum(len(str(m.get("content", "")).encode()) for m in body["messages"])
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or 500
    used = tokens or max(1, len(text.encode()) // BYTES_A_TOKEN)
    return Reply(text, max(1, asked // BYTES_A_TOKEN), min(used, limit))


def _text(body: dict[str, Any], fault: Fault | None) -> str:
    messages, form = body["messages"], body.get("response_format")
    if fault == "wrong_schema":
        return msgspec.json.encode(WRONG).decode()
    if fault == "injection":
        return content(messages, form, INJECTION)
    return content(messages, form)


def completion(body: dict[str, Any], said: Reply) -> dict[str, Any]:
    """A chat completion."""
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "model": body.get("model", ""),
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": said.text}, "finish_reason": "stop"}
        ],
        "usage": {
            "prompt_tokens": said.input_tokens,
            "completion_tokens": said.output_tokens,
            "total_tokens": said.input_tokens + said.output_tokens,
        },
    }


def message(body: dict[str, Any], said: Reply) -> dict[str, Any]:
    """A message in Anthropic's form."""
    if body.get("response_format"):
        block = {"type": "tool_use", "id": "toolu_0", "name": TOOL, "input": msgspec.json.decode(said.text)}
    else:
        block = {"type": "text", "text": said.text}
    return {
        "id": "msg_0",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", ""),
        "content": [block],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": said.input_tokens, "output_tokens": said.output_tokens},
    }


def as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """A request in Anthropic's form as one in OpenAI's."""
    fixed = [{"role": "system", "content": "".join(block["text"] for block in body.get("system", []))}]
    tools = body.get("tools")
    form = {"type": "json_schema", "json_schema": {"schema": tools[0]["input_schema"]}} if tools else None
    return body | {"messages": fixed + body["messages"], "response_format": form}


def error(status: int, code: str, headers: dict[str, str] | None = None, key: str = "") -> Response:
    """An error as providers word it; some repeat the key, which must then go no further."""
    repeated = f" The key was {key}." if key else ""
    told = {"message": f"The model server was asked to fail: {code}.{repeated}", "type": code, "code": code}
    return JSONResponse({"error": told}, status, headers)
