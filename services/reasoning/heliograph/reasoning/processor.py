"""Publishes the reason of each signal of one shard."""

import contextlib
from typing import TYPE_CHECKING, Protocol

import msgspec

from heliograph.common import metrics, subjects, telemetry
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import Clock
from heliograph.common.events import Reason, Signal, encode
from heliograph.common.service import Delivery
from heliograph.common.spend.usage import Usage, Use
from heliograph.reasoning.cache import ExplanationCache
from heliograph.reasoning.engine import Explainer, cache_key, reason_of
from heliograph.reasoning.facts import facts_of

if TYPE_CHECKING:
    from heliograph.reasoning.votes.service import ShardVotes, Votes

REQUESTS = "requests"


class Published(msgspec.Struct):
    """What the shards of a process have published since its start."""

    reasons: int = 0


class ByModel(Protocol):
    """Explains signals by models."""

    async def reasons(self, signals: list[Signal]) -> dict[str, Reason]:
        """Signal id → reason, for those that a model explains; within bounded time, and never fails."""
        ...


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
        usage: Usage,
        by_model: ByModel | None = None,
        votes: "Votes | None" = None,
    ) -> None:
        self._shard = shard
        self._bus = bus
        self._clock = clock
        self._explainer = explainer
        self._cache = cache
        self._published = published
        self._usage = usage
        self._by_model = by_model
        self._votes = votes
        self._asked: ShardVotes | None = None

    async def open(self) -> None:
        """Nothing to load; requests for votes are answered from now on.

        Raises:
            UnavailableError: the server does not answer.
        """
        if self._votes is not None:
            self._asked = await self._votes.open(self._shard)

    async def handle(self, source: str, batch: list[Delivery]) -> None:
        """Explain each signal; returns when every reason is stored. Requests are answered meanwhile.

        Raises:
            UnavailableError: not all are stored; handling the same signals again is safe.
        """
        if source == REQUESTS:
            if self._asked is not None:
                self._asked.take(batch)
            return
        signals: list[Signal] = [delivery.event for delivery in batch]
        reasons = await self._by_model.reasons(signals) if self._by_model else {}
        reasons |= await self._by_template([signal for signal in signals if signal.id not in reasons])
        with contextlib.ExitStack() as spans:
            messages = [self._message(delivery, reasons[delivery.event.id], spans) for delivery in batch]
            await self._bus.publish(messages)
        for reason in reasons.values():
            metrics.REASONS.labels(reason.provider).inc()
        self._published.reasons += len(messages)
        self._usage.add(Use(signals=len(messages)))

    async def close(self) -> None:
        """Nothing to hand over: whoever waits for a vote takes silence for an abstention."""
        if self._votes is not None:
            await self._votes.leave(self._shard)

    async def _by_template(self, signals: list[Signal]) -> dict[str, Reason]:
        facts = {cache_key(f): f for f in map(facts_of, signals)}
        known = await self._cache.get(facts)
        made = {key: self._explainer.text(facts[key]) for key in facts if key not in known}
        await self._cache.put(made)
        texts = known | made
        keys = {signal.id: cache_key(facts_of(signal)) for signal in signals}
        now = self._clock.now_ns()
        return {
            s.id: reason_of(s, texts[keys[s.id]], cached=keys[s.id] in known, received=now) for s in signals
        }

    def _message(self, delivery: Delivery, reason: Reason, spans: contextlib.ExitStack) -> Message:
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
        return Message(
            subject=subjects.reason(self._shard, signal.symbol),
            data=encode(reason),
            msg_id=reason.id,
            headers={"traceparent": span.traceparent},
        )
