"""Where a replay stands: told by the last message of its subject, so that a restart goes on behind it."""

from datetime import UTC, datetime

import msgspec

from heliograph.common.bus import Stored
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import ConfigError
from heliograph.common.events import AnyEvent, BarBatch

POSITION = "Heliograph-Position"
"""Header: the number of the message in its shard's plan, from 0."""
PLAN = "Heliograph-Plan"
"""Header: the fingerprint of that plan."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The next position of a subject, and the stream sequence that it follows."""

    position: int = 0
    last_seq: int = 0


def headers(position: int, fingerprint: str) -> dict[str, str]:
    """What a message carries so that `standing` can tell."""
    return {POSITION: str(position), PLAN: fingerprint}


def standing(last: Stored | None, fingerprint: str) -> Standing:
    """Where a plan stands on a subject.

    Args:
        last: the newest message there; None when there is none.
        fingerprint: of the plan to go on with.

    Raises:
        ConfigError: the message is of another plan, or of none.
    """
    if last is None:
        return Standing()
    if last.headers.get(PLAN) != fingerprint or POSITION not in last.headers:
        raise ConfigError(
            f"data: its fingerprint is {fingerprint} (contents and number of shards), but the state holds "
            f"another replay, {last.headers.get(PLAN, 'of no plan')}: the last on {last.subject} is "
            f"{describe(last.data)}; give that data and that number of shards again, or start with an empty "
            "state folder"
        )
    return Standing(position=int(last.headers[POSITION]) + 1, last_seq=last.seq)


def describe(data: bytes) -> str:
    """What a message holds, in a few words for a person."""
    try:
        event = msgspec.json.decode(data, type=AnyEvent)
    except msgspec.DecodeError:
        return f"{len(data)} bytes that are no event"
    when = datetime.fromtimestamp(event.ts / NANOSECONDS, tz=UTC).isoformat()
    if isinstance(event, BarBatch):
        return f"{event.interval} bars of {when} from {event.source} ({', '.join(event.symbols[:3])}, …)"
    return f"an event {event.id} of {when}"
