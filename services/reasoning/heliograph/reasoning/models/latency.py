"""How long a provider takes: the p95 of its last successful calls. Pure."""

import math
from collections import deque

SAMPLES = 100
ENOUGH = 20
SHARE = 0.95
UNKNOWN_S = 3.0
"""What stands for the p95 until there are enough calls."""
SHORTEST_S = 0.2
"""Under this a second call would not come sooner than the first."""


class Latency:
    """The last latencies of one provider, seconds."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=SAMPLES)

    def add(self, seconds: float) -> None:
        """A call has succeeded after so long."""
        self._seen.append(seconds)

    def p95(self) -> float:
        """After so long a call is slower than nineteen of twenty."""
        if len(self._seen) < ENOUGH:
            return UNKNOWN_S
        ordered = sorted(self._seen)
        return max(SHORTEST_S, ordered[math.ceil(SHARE * len(ordered)) - 1])
