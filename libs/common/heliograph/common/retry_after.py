"""How long a provider asks to wait before it is asked again: the one reading of Retry-After. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from heliograph.common.clock import NANOSECONDS

LONGEST_S = 86_400.0
"""Whatever is longer counts as a day: no caller waits that long, and sums with it stay finite."""
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")


def retry_after(headers: Mapping[str, str], now_ns: int) -> float | None:
    """Seconds to wait, 0 to `LONGEST_S`; None where the headers do not say, or say it unreadably.

    `Retry-After` is a number of seconds or an HTTP date (RFC 9110, 10.2.3); `retry-after-ms`, which some
    providers of models send beside it, is finer and goes first.

    Args:
        headers: names in lower case, or looked up without regard to case.
        now_ns: wall time, which a date is compared with.
    """
    if (milliseconds := decimal(headers.get("retry-after-ms", ""))) is not None:
        return capped(milliseconds / 1000)
    given = headers.get("retry-after", "").strip()
    seconds = decimal(given)
    return capped(_until(given, now_ns) if seconds is None else seconds)


def decimal(text: str) -> float | None:
    """A number without sign and exponent; None where the text is none."""
    return float(text) if _DECIMAL.fullmatch(text) else None


def capped(seconds: float | None) -> float | None:
    """The wait within its bounds; None stays None."""
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_S)


def _until(date: str, now_ns: int) -> float | None:
    try:
        when = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    # A date without a zone is the oldest of the three forms of HTTP, which is UTC too.
    aware = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return aware.timestamp() - now_ns / NANOSECONDS
