"""What a fetcher puts into INPUT, as messages: batches of bars and ticks."""

import contextlib
from collections.abc import Mapping

from heliograph.common import subjects, telemetry
from heliograph.common.bus import Message
from heliograph.common.events import BarBatch, encode
from heliograph.fetcher.ticks import tick_at


def bars_message(
    shard: int, bars: BarBatch, spans: contextlib.ExitStack, headers: Mapping[str, str] | None = None
) -> Message:
    """A batch of bars as the beginning of a trace, whose span ends with `spans`."""
    span = spans.enter_context(
        telemetry.span(
            "fetch bars",
            kind="producer",
            attributes={
                "heliograph.shard": shard,
                "messaging.batch.message_count": len(bars.symbols),
            },
        )
    )
    return Message(
        subject=subjects.bars(shard),
        data=encode(bars),
        msg_id=bars.id,
        headers={**(headers or {}), "traceparent": span.traceparent},
    )


def tick_message(shard: int, ts: int, received: int) -> Message:
    """The tick of a shard at an event time."""
    tick = tick_at(shard, ts, received)
    return Message(subject=subjects.tick(shard), data=encode(tick), msg_id=tick.id)
