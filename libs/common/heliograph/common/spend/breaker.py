"""A circuit breaker: after failures a provider is left alone, then tried again by single calls. Pure."""

from collections import deque
from typing import Literal

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Opens at `in_a_row` failures or at more than half of the last `last`; times are monotonic seconds.

    After `pause_s` it is half-open: one call at a time may try; `successes` in a row close it, one failure
    opens it anew. What is no failure of the provider (no budget, a full window, a cancelled call) is given
    back by `left`.
    """

    def __init__(
        self, *, in_a_row: int = 5, last: int = 20, pause_s: float = 60.0, successes: int = 2
    ) -> None:
        self._in_a_row = in_a_row
        self._results: deque[bool] = deque(maxlen=last)
        self._pause_s = pause_s
        self._needed = successes
        self._opened_at: float | None = None
        self._good = 0
        self._row = 0
        self._trying = False

    def state(self, now: float) -> State:
        """What it lets through."""
        if self._opened_at is None:
            return "closed"
        return "half-open" if now - self._opened_at >= self._pause_s else "open"

    def enter(self, now: float) -> bool:
        """Whether a call may be made; each one that may must end by `succeeded`, `failed` or `left`."""
        state = self.state(now)
        if state == "half-open" and not self._trying:
            self._trying = True
            return True
        return state == "closed"

    def succeeded(self) -> None:
        """A call has succeeded."""
        self._trying = False
        self._row = 0
        if self._opened_at is None:
            self._results.append(True)
            return
        self._good += 1
        if self._good >= self._needed:
            self._opened_at = None
            self._results.clear()

    def failed(self, now: float) -> None:
        """A call has failed."""
        self._trying = False
        self._row += 1
        self._good = 0
        if self._opened_at is not None:
            self._opened_at = now
            return
        self._results.append(False)
        full = len(self._results) == self._results.maxlen
        if self._row >= self._in_a_row or (full and self._results.count(False) * 2 > len(self._results)):
            self._opened_at = now

    def left(self) -> None:
        """A call was not made, or given up: it says nothing of the provider."""
        self._trying = False
