"""Reasoning: explains each signal in two or three sentences, votes by models, has a panel judge companies."""

from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from heliograph.common.errors import InvariantError
from heliograph.common.events import Enrich, Signal
from heliograph.common.service import Context, ShardProcessor, Source
from heliograph.common.spend import shared
from heliograph.common.spend.live import counting
from heliograph.common.spend.spend import Spend
from heliograph.common.spend.usage import Usage
from heliograph.reasoning.cache import ExplanationCache, connect
from heliograph.reasoning.engine import Explainer
from heliograph.reasoning.models.wanted import wanted
from heliograph.reasoning.panel.records.metered import meter
from heliograph.reasoning.panel.service import PanelService
from heliograph.reasoning.panel.settings import paid
from heliograph.reasoning.processor import REQUESTS, Published, ReasoningProcessor
from heliograph.reasoning.settings import ReasoningSettings
from heliograph.reasoning.spending import Spending

if TYPE_CHECKING:
    from heliograph.reasoning.models.build import BuiltModels
    from heliograph.reasoning.narration.service import Narration
    from heliograph.reasoning.votes.service import Votes


REST_S = 0.02
"""About what the tracker needs to make a signal durable, which goes first: see decision 20."""
SIGNALS = Source(name="signals", stream="SIGNAL", subject="signal.{shard}.>", event=Signal, rest_s=REST_S)
REQUESTED = Source(name=REQUESTS, stream="REQUEST", subject="request.{shard}", event=Enrich)


class ReasoningService:
    """Reads SIGNAL, REQUEST and requests to analyse, writes REASON, ANALYSIS and votes."""

    name = "reasoning"
    sharded = True

    def __init__(self) -> None:
        self.sources: tuple[Source, ...] = (SIGNALS,)
        self._context: Context | None = None
        self._cache: ExplanationCache | None = None
        self._explainer = Explainer()
        self._published = Published()
        self._redis: Redis | None = None
        self._usage: Usage | None = None
        self._models: BuiltModels | None = None
        self._narration: Narration | None = None
        self._votes: Votes | None = None
        self._panel: PanelService | None = None
        self._spend: Spend | None = None

    async def start(self, context: Context) -> None:
        """Find the cache; reasons are given without Redis too.

        Raises:
            ConfigError: `redis_url` is not one, or a provider of models is described wrongly.
        """
        settings = context.settings
        if not isinstance(settings, ReasoningSettings):
            raise InvariantError(f"settings: {type(settings).__name__}, expected ReasoningSettings")
        self._context = context
        self._cache = ExplanationCache(
            context.clock,
            connect(settings.redis_url),
            settings.explanation_cache_size,
            settings.explanation_ttl_s,
        )
        await self._cache.ping()
        self._redis = shared.connect(settings.redis_url)
        self._usage = Usage(self._redis, context.clock)
        if wanted(settings):
            # Without a key there is no need of these, and their imports would hold up the start.
            from heliograph.reasoning.models.attached import attached  # noqa: PLC0415
            from heliograph.reasoning.narration.service import Narration  # noqa: PLC0415

            self._models = attached(context, settings, self._usage)
            self._narration = Narration(settings, self._models, self._usage, context.clock)
            await self._start_votes(context, settings, self._models, self._usage)
        redis = connect(settings.redis_url)
        live = counting(context.bus, context.name, settings.member_ttl_s)
        self._spend = Spend(self._redis, context.clock, live)
        self._panel = PanelService(
            settings, context.bus, context.clock, self._models, redis, self._usage, self._spend
        )
        await self._panel.start()
        data = [meter(name, limits) for name, limits in paid(settings) if limits.call_price]
        await Spending(self._usage, self._models, self._spend, data).register(context.bus)

    async def _start_votes(
        self, context: Context, settings: ReasoningSettings, models: "BuiltModels", usage: Usage
    ) -> None:
        """Answer requests for votes, where the settings name a source of them."""
        if not settings.vote_sources:
            return
        from heliograph.reasoning.votes.attached import attached  # noqa: PLC0415 - as above

        self._votes = attached(context, settings, models, usage)
        self._votes.start()
        # A request is worth answering for seconds only, a signal's reason for as long as it lives.
        self.sources = (REQUESTED, SIGNALS)

    def processor(self, shard: int) -> ShardProcessor:
        """A processor for one shard."""
        context, cache, usage = self._started()
        return ReasoningProcessor(
            shard,
            context.bus,
            context.clock,
            self._explainer,
            cache,
            self._published,
            usage,
            self._narration,
            self._votes,
        )

    async def problems(self) -> dict[str, str]:
        """Why it is not ready; Redis away is no reason, since the template needs no cache."""
        return {}

    async def status(self) -> dict[str, Any]:
        """Reasons since the start of this process, what the cache did, and where it lives."""
        _, cache, _ = self._started()
        await cache.ping()
        told = {"reasons": self._published.reasons, "cache": cache.status(), "redis": cache.store}
        told["analyses"] = self._panel.answered if self._panel else 0
        if self._models is None or self._narration is None:
            return told
        told |= {
            "keys": self._models.keys(),
            "models": self._models.status(),
            "narratives": self._narration.status(),
        }
        return told | ({"votes": self._votes.status()} if self._votes else {})

    async def stop(self) -> None:
        """Leave the panel, the models and Redis."""
        if self._panel is not None:
            await self._panel.stop()
        if self._spend is not None:
            await self._spend.close()
        if self._votes is not None:
            await self._votes.close()
        if self._narration is not None:
            await self._narration.close()
        if self._models is not None:
            await self._models.close()
        if self._cache is not None:
            await self._cache.close()
        if self._usage is not None:
            await self._usage.close()
        if self._redis is not None:
            await self._redis.aclose()

    def _started(self) -> tuple[Context, ExplanationCache, Usage]:
        if self._context is None or self._cache is None or self._usage is None:
            raise InvariantError("reasoning is used before its start")
        return self._context, self._cache, self._usage
