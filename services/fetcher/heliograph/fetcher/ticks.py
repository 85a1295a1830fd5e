"""When event time is told to a shard between its bars, so that decisions which wait can fall. Pure."""

from heliograph.common.events import Tick
from heliograph.common.ids import derive_id


def due_tick(last_close: int, next_close: int | None, reached: int, after_ns: int) -> int | None:
    """The time of the tick that is due; None where none is.

    It hangs on the data alone: so long after a close of bars, unless the next bars close before that.

    Args:
        last_close: of the newest bars published, nanoseconds; `next_close` of those that follow, if any do.
        reached: event time that has been reached.
        after_ns: how long after the close the tick comes; 0 for none.
    """
    ts = last_close + after_ns
    if after_ns <= 0 or ts > reached or (next_close is not None and next_close <= ts):
        return None
    return ts


def tick_at(shard: int, ts: int, received: int) -> Tick:
    """The tick of a shard at an event time; the same id whoever sends it."""
    return Tick(id=derive_id("tick", shard, ts), ts=ts, received=received)
