"""The signals that were told lately: whoever hears of one may ask for it before the record has it."""

from collections import deque

REMEMBERED = 8192
PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""After each of them the record is asked again for a signal that was told lately."""


class Announced:
    """The ids of the newest signals that passed."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._order: deque[str] = deque()
        self._ids: set[str] = set()

    def add(self, signal_id: str) -> None:
        """Remember one more; the oldest is forgotten where it is too many."""
        if signal_id in self._ids:
            return
        self._ids.add(signal_id)
        self._order.append(signal_id)
        if len(self._order) > self._limit:
            self._ids.remove(self._order.popleft())

    def __contains__(self, signal_id: str) -> bool:
        """Whether it was told lately."""
        return signal_id in self._ids
