"""The hours of the US stock market in Eastern time, by a table of the changes to and from daylight saving."""

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from heliograph.common.clock import NANOSECONDS
from heliograph.common.intervals import INTERVALS_NS

TimeOfDay = Literal["open", "mid", "close", "outside", "day"]

DAY_NS = INTERVALS_NS["1d"]
MINUTE_NS = 60 * NANOSECONDS
STANDARD_NS = -5 * 60 * MINUTE_NS
DAYLIGHT_NS = -4 * 60 * MINUTE_NS
OPENS = 9 * 60 + 30
CLOSES = 16 * 60
SESSION_MINUTES = CLOSES - OPENS
FIRST_PART = 90
LAST_PART = 60
SUNDAY = 6
EXTENDED = 2007
"""From this year on daylight saving is longer."""
YEARS = range(1987, 2101)
"""The years of the table; before them standard time is assumed, after them too."""


def sunday(year: int, month: int, earliest: int) -> date:
    """The first Sunday of a month from some day on."""
    first = date(year, month, earliest)
    return first + timedelta(days=(SUNDAY - first.weekday()) % 7)


def changes_of(year: int) -> tuple[int, int]:
    """When daylight saving begins and ends (02:00 local time), UTC nanoseconds.

    Energy Policy Act of 2005: second Sunday in March to first in November; before it first in April to last
    in October.
    """
    if year >= EXTENDED:
        begin, end = sunday(year, 3, 8), sunday(year, 11, 1)
    else:
        begin, end = sunday(year, 4, 1), sunday(year, 10, 25)
    midnights = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (begin, end)]
    first, second = (int(midnight.timestamp()) * NANOSECONDS + 120 * MINUTE_NS for midnight in midnights)
    return first - STANDARD_NS, second - DAYLIGHT_NS


CHANGES = [change for year in YEARS for change in changes_of(year)]
"""Sorted; daylight saving holds from each even one to the odd one after it."""


def eastern_minute(ts: int) -> int:
    """Minutes since midnight in US/Eastern at a time in UTC nanoseconds."""
    offset = DAYLIGHT_NS if bisect_right(CHANGES, ts) % 2 else STANDARD_NS
    return (ts + offset) % DAY_NS // MINUTE_NS


def time_of_day(bar_ts: int, interval_ns: int) -> TimeOfDay:
    """The part of the session that a bar begins in: the first 90 minutes, the last 60, or between.

    Days that end early end at 16:00 here too; `day` for bars of a day or longer.
    """
    if interval_ns >= DAY_NS:
        return "day"
    minute = eastern_minute(bar_ts) - OPENS
    if not 0 <= minute < SESSION_MINUTES:
        return "outside"
    if minute < FIRST_PART:
        return "open"
    return "close" if minute >= SESSION_MINUTES - LAST_PART else "mid"


def bars_a_day(interval_ns: int) -> int:
    """Bars of a session of 6.5 hours, a last short one counted; 1 from a day on."""
    return 1 if interval_ns >= DAY_NS else -(-SESSION_MINUTES * MINUTE_NS // interval_ns)
