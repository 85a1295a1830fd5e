"""How fast a replay goes: event time advances by a factor of wall time, in all shards of a process alike."""

import numpy as np

from heliograph.common.clock import NANOSECONDS, Clock

FOREVER = int(np.iinfo(np.int64).max)


class Pace:
    """The event time that the replay has reached.

    Everything up to its start is due at once; from then on, from the first look, event time goes by
    `factor` seconds a second. Without a factor everything is due.
    """

    def __init__(self, clock: Clock, factor: float | None, start_ns: int) -> None:
        self._clock = clock
        self._factor = factor
        self._start_ns = start_ns
        self._began: float | None = None

    def reached_ns(self) -> int:
        """Bars that closed at this event time or before are due."""
        if self._factor is None:
            return FOREVER
        now = self._clock.monotonic()
        if self._began is None:
            self._began = now
        return self._start_ns + int((now - self._began) * self._factor * NANOSECONDS)

    def wait_s(self, close_ns: int) -> float:
        """Seconds of wall time until an event time is reached; 0 when it is."""
        if self._factor is None:
            return 0.0
        return max(0.0, (close_ns - self.reached_ns()) / (self._factor * NANOSECONDS))


def start_of(data_start_ns: int, history_ns: int, undelivered_ns: int | None) -> int:
    """Where the pace begins: after the history, or where an earlier run of the same replay stands.

    Args:
        data_start_ns: the first close time of the whole replay.
        history_ns: so much event time from there is published at once, as a live provider fills in the past.
        undelivered_ns: the first close time that no shard has delivered; None when all is delivered.
    """
    return max(data_start_ns + history_ns, data_start_ns if undelivered_ns is None else undelivered_ns)
