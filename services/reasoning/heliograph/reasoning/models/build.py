"""The models as the settings want them; imported only where there is a key."""

import os
from collections.abc import Mapping
from pathlib import Path

from redis.asyncio import Redis

from heliograph.common.clock import Clock
from heliograph.common.spend.keys import Keys, State
from heliograph.common.spend.shared import connect
from heliograph.common.spend.spend import Live, Spend
from heliograph.common.spend.usage import Usage
from heliograph.reasoning.models.calls import ProviderCalls
from heliograph.reasoning.models.client import HttpClient
from heliograph.reasoning.models.loop_lag import LoopLag
from heliograph.reasoning.models.ordered import OrderedModels
from heliograph.reasoning.models.port import Answer, Prompt, Refusal
from heliograph.reasoning.models.provider import NANODOLLARS, providers
from heliograph.reasoning.models.wanted import asked
from heliograph.reasoning.settings import ReasoningSettings


class BuiltModels:
    """The models of a process with all that they hold open; `close` it at the end."""

    def __init__(
        self,
        ordered: OrderedModels,
        research: OrderedModels | None,
        client: HttpClient,
        spend: Spend,
        redis: Redis | None,
        clock: Clock,
        keys: Keys,
    ) -> None:
        self._clock = clock
        self._keys = keys
        self.ordered = ordered
        self.research = research
        """Those that search the web; None where nobody wants them."""
        known = {
            calls.provider.name: calls for calls in (*ordered.calls, *(research.calls if research else ()))
        }
        self.calls = list(known.values())
        """The providers in their order, each once."""
        self._client = client
        self._redis = redis
        self.spend = spend

    async def ask(self, prompt: Prompt) -> Answer | Refusal:
        """The first successful answer, within the deadline; never raises for what a provider does."""
        return await self.ordered.ask(prompt)

    def status(self) -> dict[str, object]:
        """Each provider: its breaker, its p95 in seconds, today's dollars, the month of its prices."""
        states = self.states()
        providers = {
            calls.provider.name: {
                "model": calls.provider.model,
                "breaker": states[calls.provider.name][0],
                "p95_s": states[calls.provider.name][1],
                "spent": self.spend.spent(calls.meter) / NANODOLLARS,
                "budget": calls.provider.daily_budget,
                "priced": calls.provider.priced,
            }
            for calls in self.calls
        }
        return {"providers": providers, "alone": self.spend.alone}

    def keys(self) -> dict[str, State]:
        """How the secret of each provider is, by its name."""
        return {name: self._keys.state(name) for name in sorted({c.provider.key for c in self.calls} - {""})}

    def states(self) -> dict[str, tuple[str, float]]:
        """Provider → the state of its breaker, and its p95 in seconds."""
        now = self._clock.monotonic()
        return {
            calls.provider.name: (calls.breaker.state(now), round(calls.latency.p95(), 3))
            for calls in self.calls
        }

    async def close(self) -> None:
        """Settle what is under way and close the connections."""
        await self.ordered.close()
        if self.research is not None:
            await self.research.close()
        await self.spend.close()
        await self._client.close()
        if self._redis is not None:
            await self._redis.aclose()


def build(
    settings: ReasoningSettings,
    clock: Clock,
    live: Live,
    environment: Mapping[str, str] = os.environ,
    usage: Usage | None = None,
) -> BuiltModels:
    """The models in the order of the settings; without `usage` their use is not told to the other replicas.

    Raises:
        ConfigError: a provider is unknown or described wrongly, or `redis_url` is not one.
    """
    found = providers(asked(settings), settings.providers)
    redis = connect(settings.redis_url)
    spend, client = Spend(redis, clock, live), HttpClient(clock)
    folder = Path(settings.keys_folder) if settings.keys_folder else None
    keys = Keys(clock, environment, folder, settings.keys_secret)
    counts = usage or Usage(None, clock)
    lag = LoopLag(clock)
    calls = {p.name: ProviderCalls(p, client, spend, counts, keys, clock, lag) for p in found}

    def ordered(names: list[str]) -> OrderedModels:
        chosen = [calls[name] for name in names]
        return OrderedModels(
            chosen, clock, deadline_s=settings.model_deadline_s, at_once=settings.models_at_once
        )

    research = ordered(settings.research_models) if "research" in settings.vote_sources else None
    return BuiltModels(ordered(settings.models), research, client, spend, redis, clock, keys)
