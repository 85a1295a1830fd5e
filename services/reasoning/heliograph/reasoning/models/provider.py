"""What is known of a provider: where it is, how it speaks, what it costs, and how much of it may be used."""

import math
import re
from typing import Any, Literal

import msgspec

from heliograph.common.errors import ConfigError

NANODOLLARS = 1_000_000_000
"""Nanodollars in a dollar: money is counted in whole ones, so that no sum is off by a rounding."""
PRICES = frozenset({"input_price", "cached_price", "output_price", "call_price"})
_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])")
Form = Literal["openai", "anthropic"]
Structured = Literal["json_schema", "json_object", "tool", "none"]


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider with one model.

    Attributes:
        form: chat completions as OpenAI has them, or Anthropic's messages.
        key: the name of its secret, e.g. `GLM_API_KEY`; empty for a provider that asks for none.
        structured: how it holds a reply to a schema; `none` where the schema can only be told.
        limit_field: the request's field for the most tokens of a reply.
        extra: fields that every request carries besides.
        input_price: US dollars a million tokens; `output_price` likewise, and `cached_price` for those that
            the provider read from its own cache of prompts.
        call_price: US dollars, the estimate of a whole call: the least that is reserved for one, and what a
            call counts whose bill will never be known.
        priced: month in which the prices of tokens were compared with published ones, as `2026-04`; empty
            where they were not.
        daily_budget: US dollars a day (UTC), over all replicas.
        calls_per_minute: in any 60 seconds, over all replicas.
    """

    name: str
    form: Form = "openai"
    base_url: str
    model: str
    key: str = ""
    structured: Structured = "json_schema"
    limit_field: str = "max_tokens"
    extra: dict[str, Any] = {}
    input_price: float = 0.0
    cached_price: float = 0.0
    output_price: float = 0.0
    call_price: float = 0.0
    priced: str = ""
    daily_budget: float = 0.0
    calls_per_minute: int = 20

    def __post_init__(self) -> None:
        amounts = ("input_price", "cached_price", "output_price", "call_price", "daily_budget")
        for field in amounts:
            if not (math.isfinite(getattr(self, field)) and getattr(self, field) >= 0):
                raise ConfigError(
                    f"providers: {self.name}.{field}: {getattr(self, field)}, expected 0 or more"
                )
        if self.priced and not _MONTH.fullmatch(self.priced):
            raise ConfigError(
                f"providers: {self.name}.priced: {self.priced!r}, expected a month such as 2026-04"
            )
        if self.calls_per_minute < 1:
            raise ConfigError(
                f"providers: {self.name}.calls_per_minute: {self.calls_per_minute}, expected 1 or more"
            )
        if not self.base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"providers: {self.name}.base_url: {self.base_url!r}, expected an http(s) address"
            )

    def cost(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> int:
        """What a call costs, nanodollars, rounded up; `input_tokens` hold the cached ones."""
        fresh = max(0, input_tokens - cached_tokens)
        dollars_a_million = (
            fresh * self.input_price + cached_tokens * self.cached_price + output_tokens * self.output_price
        )
        return math.ceil(round(dollars_a_million * NANODOLLARS / 1e6, 3))

    def estimate(self) -> int:
        """What a call is taken to cost before its bill is known, nanodollars."""
        return math.ceil(self.call_price * NANODOLLARS)

    def most(self, request_bytes: int, max_tokens: int) -> int:
        """What a call can cost at most, nanodollars: a token is at least one byte of the request."""
        return max(self.estimate(), self.cost(request_bytes, 0, max_tokens))


KNOWN: dict[str, Provider] = {
    p.name: p
    for p in (
        Provider(
            name="glm",
            base_url="https://api.z.ai/api/paas/v4",
            model="glm-4.5-air",
            key="GLM_API_KEY",
            structured="json_object",
            # Its thinking is billed as output and would only make two sentences slower.
            extra={"thinking": {"type": "disabled"}},
            input_price=0.2,
            cached_price=0.03,
            output_price=1.1,
            call_price=0.001,
            priced="2026-04",
            daily_budget=25.0,
        ),
        Provider(
            name="deepseek",
            base_url="https://api.deepseek.com",
            model="deepseek-chat",
            key="DEEPSEEK_API_KEY",
            structured="json_object",
            input_price=0.28,
            cached_price=0.028,
            output_price=0.42,
            call_price=0.0015,
            priced="2026-04",
            daily_budget=10.0,
        ),
        Provider(
            name="qwen",
            base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            model="qwen-turbo",
            key="QWEN_API_KEY",
            structured="json_object",
            input_price=0.05,
            cached_price=0.02,
            output_price=0.2,
            call_price=0.002,
            daily_budget=5.0,
        ),
        Provider(
            name="anthropic",
            form="anthropic",
            base_url="https://api.anthropic.com",
            model="claude-haiku-4-5",
            key="ANTHROPIC_API_KEY",
            structured="tool",
            input_price=1.0,
            cached_price=0.1,
            output_price=5.0,
            call_price=0.003,
            priced="2026-04",
            daily_budget=5.0,
        ),
        Provider(
            name="openai",
            base_url="https://api.openai.com/v1",
            model="gpt-4o-mini",
            key="OPENAI_API_KEY",
            limit_field="max_completion_tokens",
            input_price=0.15,
            cached_price=0.075,
            output_price=0.6,
            call_price=0.001,
            daily_budget=5.0,
        ),
        Provider(
            name="xai",
            base_url="https://api.x.ai/v1",
            model="grok-3-mini",
            key="XAI_API_KEY",
            limit_field="max_completion_tokens",
            input_price=0.3,
            cached_price=0.075,
            output_price=0.5,
            call_price=0.002,
            daily_budget=5.0,
        ),
        Provider(
            name="sonar",
            base_url="https://api.perplexity.ai",
            model="sonar",
            key="PERPLEXITY_API_KEY",
            input_price=1.0,
            cached_price=1.0,
            output_price=1.0,
            # Each of its calls searches the web, for a price of its own.
            call_price=0.01,
            daily_budget=5.0,
        ),
        Provider(name="ollama", base_url="http://127.0.0.1:11434/v1", model="qwen3:0.6b"),
    )
}
"""Providers by name. Prices change: they are settings, and what is here only their default."""


def providers(order: list[str], changes: dict[str, dict[str, Any]]) -> list[Provider]:
    """The providers of an order, each known one with its changes; an unknown one is made of its own.

    Raises:
        ConfigError: a name is unknown and not described, or a field is wrong.
    """
    found = []
    for name in order:
        known = msgspec.to_builtins(KNOWN[name]) if name in KNOWN else {}
        change = changes.get(name, {})
        if PRICES & change.keys():
            known["priced"] = ""  # it was said of other prices
        described = known | change | {"name": name}
        try:
            found.append(msgspec.convert(described, Provider))
        except msgspec.ValidationError as error:
            hint = "" if name in KNOWN else f"; known are {', '.join(KNOWN)}"
            raise ConfigError(f"providers: {name}: {error}{hint}") from None
    if len(set(order)) != len(order):
        raise ConfigError(f"models: {', '.join(order)}: a provider is named twice")
    unused = sorted(set(changes) - set(order) - set(KNOWN))
    if unused:
        raise ConfigError(f"providers: {', '.join(unused)}: described, but not in the order of models")
    return found
