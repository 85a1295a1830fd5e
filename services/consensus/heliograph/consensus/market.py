"""The hours of the New York Stock Exchange, by `exchange_calendars`: holidays and early closes included."""

import functools
import warnings

import numpy as np

from heliograph.consensus.engine import Hours

EXCHANGE = "XNYS"
FIRST, LAST = "1990-01-01", "2049-12-31"
"""Of the table; both are fixed, so that it does not depend on the day on which it is made."""


@functools.cache
def market_hours() -> Hours:
    """The table; it takes a second, and the library some memory, so only what needs it asks for it."""
    from exchange_calendars import get_calendar  # noqa: PLC0415 - heavy, and seldom needed

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of pandas about the library's own use of it.
        calendar = get_calendar(EXCHANGE, start=FIRST, end=LAST)
    return Hours(opens=np.array(calendar.opens_nanos), closes=np.array(calendar.closes_nanos))
