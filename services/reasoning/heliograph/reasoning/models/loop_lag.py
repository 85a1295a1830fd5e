"""How late this process's own event loop is: time in which no reply could have been taken, had it come."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from heliograph.common.clock import Clock

PERIOD_S = 0.05


class LoopLag:
    """Measures while somebody watches; nothing runs at other times."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watching = 0
        self._late = 0.0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watch(self) -> Iterator[Callable[[], float]]:
        """Gives the seconds by which the loop has been late since the block was entered."""
        if not self._watching:
            self._next()
        self._watching += 1
        before = self._whole()
        try:
            yield lambda: self._whole() - before
        finally:
            self._watching -= 1
            if not self._watching and self._timer is not None:
                self._timer.cancel()

    def _whole(self) -> float:
        """All that was counted, and what is just passing."""
        return self._late + max(0.0, self._clock.monotonic() - self._due)

    def _tick(self) -> None:
        self._late = self._whole()
        self._next()

    def _next(self) -> None:
        self._due = self._clock.monotonic() + PERIOD_S
        self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._tick)
