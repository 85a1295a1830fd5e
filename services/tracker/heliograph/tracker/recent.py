"""The newest bar batches of a shard, for signals that come after the bars that follow them."""

from collections import deque
from collections.abc import Iterator


class RecentBatches:
    """Batches as they came, a bounded number; everything of the shard later than `since` is in it."""

    def __init__(self, since: int, *, batches: int, size: int) -> None:
        self.since = since
        self._limit = batches
        self._size_limit = size
        self._size = 0
        self._kept: deque[tuple[int, bytes]] = deque()

    def add(self, seq: int, data: bytes) -> None:
        """Keep a batch, later than any before; the oldest ones give way."""
        self._kept.append((seq, data))
        self._size += len(data)
        while len(self._kept) > self._limit or self._size > self._size_limit:
            self.since, old = self._kept.popleft()
            self._size -= len(old)

    def after(self, seq: int) -> Iterator[tuple[int, bytes]]:
        """The batches later than a sequence, which must not be before `since`, oldest first."""
        newer: list[tuple[int, bytes]] = []
        for entry in reversed(self._kept):
            if entry[0] <= seq:
                break
            newer.append(entry)
        return reversed(newer)
