"""Which work of a process goes first: what may rest lets go before it what may not."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator

PATIENCE = 6
"""Times its rest after which a message waits for nothing more."""


class Precedence:
    """The turns of the shards of one process on its one event loop.

    What rests begins only when nothing else is in hand, and one shard at a time: the loop comes round between
    two of them, so that a signal that has just come, or the answer that its commit waits for, does not wait
    behind the bars of all shards.
    """

    def __init__(self) -> None:
        self._urgent = 0
        self._beginning = False
        self._held: deque[asyncio.Event] = deque()

    @property
    def free(self) -> bool:
        """Whether something that rests may begin now."""
        return not self._urgent and not self._beginning

    @contextlib.contextmanager
    def turn(self, *, rests: bool) -> Iterator[None]:
        """Have work in hand: a message is handled inside."""
        if rests:
            self._beginning = True
            asyncio.get_running_loop().call_soon(self._begun)
            yield
            return
        self._urgent += 1
        try:
            yield
        finally:
            self._urgent -= 1
            self._next()

    def hold(self, wake: asyncio.Event) -> None:
        """Wake a shard when its turn may have come."""
        if wake not in self._held:
            self._held.append(wake)

    def _begun(self) -> None:
        self._beginning = False
        self._next()

    def _next(self) -> None:
        if self._held and self.free:
            self._held.popleft().set()
