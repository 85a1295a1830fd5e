"""Reasons by models, for the signals that they are asked about."""

import asyncio

import structlog

from heliograph.common.clock import Clock
from heliograph.common.events import Reason, Signal
from heliograph.common.spend.shared import connect
from heliograph.common.spend.usage import Usage
from heliograph.reasoning.facts import facts_of
from heliograph.reasoning.models.port import Models
from heliograph.reasoning.narration import narrative
from heliograph.reasoning.narration.narrator import Narrator
from heliograph.reasoning.narration.reason import narrated_reason
from heliograph.reasoning.settings import ReasoningSettings

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Narration:
    """Give it signals, and `close` it at the end; the models are closed by who made them."""

    def __init__(self, settings: ReasoningSettings, models: Models, usage: Usage, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._narrator = Narrator(
            models,
            usage,
            clock,
            connect(settings.redis_url),
            settings.explanation_cache_size,
            settings.explanation_ttl_s,
            settings.model_deadline_s,
        )

    async def reasons(self, signals: list[Signal]) -> dict[str, Reason]:
        """Signal id → reason, for those that a model explains; within bounded time, and never fails."""
        when, strong = self._settings.reason_models, self._settings.reason_strong
        asked = [signal for signal in signals if narrative.asks(signal, when, strong)]
        reasons = await asyncio.gather(*(self._reason(signal) for signal in asked))
        return {reason.signal: reason for reason in reasons if reason is not None}

    def status(self) -> dict[str, int]:
        """Look-ups of records by where they were answered, and the records in memory."""
        return self._narrator.status()

    async def close(self) -> None:
        """End what is under way, and leave Redis."""
        await self._narrator.close()

    async def _reason(self, signal: Signal) -> Reason | None:
        try:
            found = await self._narrator.narrate(narrative.question(facts_of(signal)))
        except Exception:
            await log.aexception("narration failed", signal=signal.id)
            return None
        return None if found is None else narrated_reason(signal, found, received=self._clock.now_ns())
