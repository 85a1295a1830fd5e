"""What the rest of reasoning sees of language models: a question, and an answer or a refusal."""

from typing import Any, Literal, Protocol

import msgspec


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One question to whichever provider answers it.

    `system` is the fixed part: it goes first and is the same from call to call, so that providers cache it.
    `purpose` names the use in metrics ("reason", "vote", "panel"). `schema` is the JSON Schema of the reply,
    given to providers that hold a reply to one. `version` belongs to whoever caches the answer: it changes
    with the wording.
    """

    purpose: str
    system: str
    user: str
    schema: dict[str, Any] | None = None
    max_tokens: int = 500
    temperature: float = 0.3
    version: str = "1"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A reply with its bill: `cost` in US dollars, `latency_s` from the question to this reply.

    `input_tokens` holds `cached_tokens`, which the provider read from its own cache of prompts. `cached` says
    that this answer was made for an earlier question and cost nothing now.
    """

    text: str
    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cost: float
    latency_s: float
    cached: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer; `detail` is for people and holds no key.

    With several providers tried, `reason` is that of the last one: no key at all, no budget left, no room in
    the rate window, an open breaker, the deadline, a failed call, a reply that is none.
    """

    reason: Literal["no_key", "budget", "rate", "breaker", "timeout", "failed", "invalid"]
    detail: str


class Models(Protocol):
    """Language models in their order, within their budgets."""

    async def ask(self, prompt: Prompt) -> Answer | Refusal:
        """The first successful answer, within the deadline; never raises for what a provider does."""
        ...
