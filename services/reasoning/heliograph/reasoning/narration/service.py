"""The part of reasoning that asks models, with all that it holds open; imported only where there is a key."""

import asyncio
from typing import Any

import structlog

from heliograph.common.bus import Message
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import UnavailableError
from heliograph.common.events import Alert, Reason, Signal, encode
from heliograph.common.ids import derive_id
from heliograph.common.service import Context
from heliograph.common.spend.live import live_members
from heliograph.common.spend.shared import connect
from heliograph.reasoning.facts import facts_of
from heliograph.reasoning.models.build import build
from heliograph.reasoning.narration import narrative
from heliograph.reasoning.narration.narrator import Narrator
from heliograph.reasoning.narration.reason import narrated_reason
from heliograph.reasoning.settings import ReasoningSettings

LIVE_S = 1.0
"""So long the count of the replicas may take; else it is not known."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Narration:
    """Reasons by models. Make it, give it signals, `close` it."""

    def __init__(self, context: Context, settings: ReasoningSettings) -> None:
        self._context = context
        self._settings = settings
        self.models = build(settings, context.clock, self._live, self._alert)
        self._narrator = Narrator(
            self.models,
            context.clock,
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

    def status(self) -> dict[str, Any]:
        """Each provider, and what the cache of records did."""
        now = self._context.clock.monotonic()
        return {
            "providers": self.models.status(now),
            "cache": self._narrator.status(),
            "alone": self.models.spend.alone,
        }

    async def close(self) -> None:
        """End what is under way and close the connections."""
        await self._narrator.close()
        await self.models.close()

    async def _reason(self, signal: Signal) -> Reason | None:
        try:
            found = await self._narrator.narrate(narrative.question(facts_of(signal)))
        except Exception:
            await log.aexception("narration failed", signal=signal.id)
            return None
        now = self._context.clock.now_ns()
        return None if found is None else narrated_reason(signal, found, received=now)

    async def _live(self) -> int | None:
        context = self._context
        try:
            async with asyncio.timeout(LIVE_S):
                return await live_members(context.bus, context.name, self._settings.member_ttl_s)
        except TimeoutError:
            return None

    async def _alert(self, provider: str, summary: str) -> None:
        """Publish an alert about a key; one a provider and day."""
        now = self._context.clock.now_ns()
        day = now // (86_400 * NANOSECONDS)
        event = Alert(
            id=derive_id("alert", "key_refused", provider, day),
            ts=now,
            name="key_refused",
            severity="warning",
            status="firing",
            summary=summary,
        )
        message = Message(subject="alert.key_refused", data=encode(event), msg_id=event.id)
        try:
            await self._context.bus.publish([message])
        except UnavailableError as error:
            await log.awarning("alert not published", error=str(error))
