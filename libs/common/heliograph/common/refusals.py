"""What the server has refused to a connection: each is logged, and makes the process unready."""

import re
import time

import structlog

VIOLATION = re.compile(r"permissions violation for (publish|subscription) to \"?([^\"]*)")
REMEMBERED_S = 60.0
"""How long a refused message counts. A refused subscription counts for as long as the connection lasts, since
nothing will ever come of it."""
REFUSED = "nats permissions"
"""The name of the problem among those that make a process unready."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Refusals:
    """The refusals of one connection."""

    def __init__(self, user: str) -> None:
        self._user = user
        self._published: dict[str, float] = {}
        self._subscribed: set[str] = set()

    def reconnected(self) -> None:
        """Subscriptions are tried again, and refused again where they are."""
        self._subscribed.clear()

    async def note(self, error: Exception) -> None:
        """Take what the client library reports."""
        found = VIOLATION.search(str(error))
        if not found:
            await log.awarning("nats", error=repr(error))
            return
        verb, subject = found[1], found[2]
        if verb == "publish":
            self._published[subject] = time.monotonic()
        else:
            self._subscribed.add(subject)
        await log.aerror(
            "nats permission refused", user=self._user, verb=verb, subject=subject, table="permissions.py"
        )

    def problem(self) -> str:
        """What is refused now; empty when nothing is."""
        now = time.monotonic()
        self._published = {s: at for s, at in self._published.items() if now - at < REMEMBERED_S}
        parts = [f"publish to {subject}" for subject in sorted(self._published)]
        parts += [f"subscribe to {subject}" for subject in sorted(self._subscribed)]
        return f"the user {self._user!r} may not {'; nor '.join(parts)}" if parts else ""
