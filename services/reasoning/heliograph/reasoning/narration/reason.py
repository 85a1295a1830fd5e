"""The reason of a signal by a model. Pure."""

from heliograph.common.clock import NANOSECONDS
from heliograph.common.events import Reason, Signal
from heliograph.reasoning.engine import reason_id
from heliograph.reasoning.facts import fill
from heliograph.reasoning.narration.narrator import Narrative


def narrated_reason(signal: Signal, found: Narrative, *, received: int) -> Reason:
    """A model's explanation with the signal's own prices; a cached one has cost nothing now.

    Args:
        received: wall time, UTC nanoseconds.
    """
    record = found.record
    paid = not found.cached
    return Reason(
        id=reason_id(signal),
        cause=signal.id,
        ts=signal.ts,
        received=received,
        signal=signal.id,
        symbol=signal.symbol,
        text=fill(record.text, signal),
        provider=record.provider,
        model=record.model,
        tokens_in=record.input_tokens if paid else 0,
        tokens_out=record.output_tokens if paid else 0,
        cost=record.cost if paid else 0.0,
        latency_ns=round(record.latency_s * NANOSECONDS) if paid else 0,
        cached=found.cached,
    )
