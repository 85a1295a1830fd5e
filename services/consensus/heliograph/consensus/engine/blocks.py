"""Events (earnings, macro) around which no signal is given."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import msgspec

EVERY = "*"
"""In place of a symbol: the event concerns all."""


class Blocks(msgspec.Struct, frozen=True, kw_only=True):
    """When what is known to come falls due: symbol → event times, sorted, UTC nanoseconds."""

    times: Mapping[str, Sequence[int]]

    def near(self, symbol: str, ts: int, margin_ns: int) -> bool:
        """Whether an event of a symbol, or of all, is at most so far from a time, before or after."""
        return any(_near(self.times.get(key, ()), ts, margin_ns) for key in (symbol, EVERY))


def _near(times: Sequence[int], ts: int, margin_ns: int) -> bool:
    place = bisect_left(times, ts - margin_ns)
    return place < len(times) and times[place] <= ts + margin_ns
