"""The one seam through which wall time and randomness enter."""

import random
import secrets
import time
from typing import Protocol

NANOSECONDS = 1_000_000_000
"""Nanoseconds in a second: the unit of every time in an event."""


class Clock(Protocol):
    """Tells the time. The engines never see it: they know only event time."""

    def now_ns(self) -> int:
        """Wall time, UTC, in nanoseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for timeouts."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Wall time, UTC, in nanoseconds since 1970."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds that never go back, for timeouts."""
        return time.monotonic()


SYSTEM_CLOCK: Clock = SystemClock()


def member_id() -> str:
    """A new random name for a running process (8 hex digits); never part of an event's identity."""
    return secrets.token_hex(4)


def trace_number() -> int:
    """A new random trace id, 128 bits, never 0; never part of an event's identity."""
    return random.getrandbits(128) or 1


def span_number() -> int:
    """A new random span id, 64 bits, never 0; never part of an event's identity."""
    return random.getrandbits(64) or 1
