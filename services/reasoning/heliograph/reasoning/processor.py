"""Publishes the reason of each signal of one shard."""

import contextlib

import msgspec

from heliograph.common import metrics, subjects, telemetry
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import Clock
from heliograph.common.events import Signal, encode
from heliograph.common.service import Delivery
from heliograph.reasoning.cache import ExplanationCache
from heliograph.reasoning.engine import PROVIDER, Explainer, cache_key, reason_of
from heliograph.reasoning.facts import facts_of


class Published(msgspec.Struct):
    """What the shards of a process have published since its start."""

    reasons: int = 0


class ReasoningProcessor:
    """One shard, without a state: a reason's id follows from its signal, so that a second one is none."""

    def __init__(
        self,
        shard: int,
        bus: Bus,
        clock: Clock,
        explainer: Explainer,
        cache: ExplanationCache,
        published: Published,
    ) -> None:
        self._shard = shard
        self._bus = bus
        self._clock = clock
        self._explainer = explainer
        self._cache = cache
        self._published = published

    async def open(self) -> None:
        """Nothing to load."""

    async def handle(self, source: str, batch: list[Delivery]) -> None:  # noqa: ARG002 - there is but one source
        """Explain each signal; returns when every reason is stored.

        Raises:
            UnavailableError: not all are stored; handling the same signals again is safe.
        """
        facts = {cache_key(f): f for f in (facts_of(delivery.event) for delivery in batch)}
        known = await self._cache.get(facts)
        made = {key: self._explainer.text(facts[key]) for key in facts if key not in known}
        await self._cache.put(made)
        with contextlib.ExitStack() as spans:
            messages = [self._message(delivery, known, made, spans) for delivery in batch]
            await self._bus.publish(messages)
        metrics.REASONS.labels(PROVIDER).inc(len(messages))
        self._published.reasons += len(messages)

    async def close(self) -> None:
        """Nothing to hand over."""

    def _message(
        self, delivery: Delivery, known: dict[str, str], made: dict[str, str], spans: contextlib.ExitStack
    ) -> Message:
        signal: Signal = delivery.event
        span = spans.enter_context(
            telemetry.span(
                "explain",
                kind="consumer",
                parent=delivery.headers.get("traceparent"),
                attributes={"heliograph.signal": signal.id, "heliograph.shard": self._shard},
            )
        )
        span.keep()
        key = cache_key(facts_of(signal))
        text = known.get(key) or made[key]
        reason = reason_of(signal, text, cached=key in known, received=self._clock.now_ns())
        return Message(
            subject=subjects.reason(self._shard, signal.symbol),
            data=encode(reason),
            msg_id=reason.id,
            headers={"traceparent": span.traceparent},
        )
