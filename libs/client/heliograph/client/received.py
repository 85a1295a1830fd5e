"""What a subscriber gets: an event, where it stands in its stream, and whether it is what was published."""

from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import HeliographError
from heliograph.common.events import Event, Signal, signal_sha256

E = TypeVar("E", bound=Event)


class AlteredError(HeliographError):
    """A signal's hash does not fit its fields, or not the signal before it."""


class UnreadableError(HeliographError):
    """A message of the stream is no event of its kind; `after=error.seq` goes on behind it."""

    def __init__(self, subject: str, seq: int, why: str) -> None:
        super().__init__(f"{subject}, sequence {seq}: {why}")
        self.seq = seq


class Received(msgspec.Struct, Generic[E], frozen=True, kw_only=True):
    """One event.

    Attributes:
        seq: its sequence in the stream; subscribe with `after=seq` to go on behind it.
        published: when the stream took it, UTC nanoseconds.
    """

    event: E
    seq: int
    published: int

    @property
    def published_at(self) -> datetime:
        """The time of publication, to the microsecond."""
        return datetime.fromtimestamp(self.published / NANOSECONDS, UTC)


class Chains:
    """Follows the chain of hashes of each shard.

    With one symbol only, most signals of a shard are not seen: then each hash is checked by itself.
    """

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._heads: dict[str, str] = {}

    def check(self, shard: str, signal: Signal) -> None:
        """Nothing, when the signal is what was published after the one before it.

        Raises:
            AlteredError: a field was altered, or a signal of the shard is missing or out of its place.
        """
        found = signal_sha256(signal)
        if found != signal.sha256:
            raise AlteredError(f"signal {signal.id}: sha256 {signal.sha256}, expected {found}")
        head = self._heads.get(shard, signal.prev_sha256)
        if self._whole and signal.prev_sha256 != head:
            raise AlteredError(
                f"signal {signal.id}: follows {signal.prev_sha256}, expected {head}: shard {shard} lacks one"
            )
        self._heads[shard] = signal.sha256
