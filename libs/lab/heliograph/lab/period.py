"""A period of event time, from dates as a person gives them."""

from datetime import UTC, datetime

import msgspec

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError

BEGINNING = -(2**62)
END = 2**62


class Period(msgspec.Struct, frozen=True):
    """From `start` on and before `end`, nanoseconds; everything by default."""

    start: int = BEGINNING
    end: int = END


def period_of(start: str | None, end: str | None) -> Period:
    """The period between two ISO dates or times (UTC unless they say otherwise), each may be left out.

    Raises:
        InputError: one is no date, or nothing lies between them.
    """
    found = Period(
        BEGINNING if start is None else instant("from", start), END if end is None else instant("to", end)
    )
    if found.start >= found.end:
        raise InputError(f"to: {end!r}, expected later than from {start!r}")
    return found


def instant(name: str, text: str) -> int:
    """Nanoseconds of an ISO date or time."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{name}: {text!r}, expected a date such as 2017-06-30 or an ISO time") from None
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()) * NANOSECONDS


def date_of(ts: int) -> str:
    """The UTC date of a time in nanoseconds."""
    return datetime.fromtimestamp(ts // NANOSECONDS, tz=UTC).date().isoformat()


def moment_of(ts: int) -> str:
    """The ISO time (UTC, seconds) of a time in nanoseconds."""
    return datetime.fromtimestamp(ts // NANOSECONDS, tz=UTC).isoformat()
