"""The parameters of the API: their bounds and what the OpenAPI document says of them."""

import re
from typing import Annotated

from litestar.params import PathParameter, QueryParameter

from heliograph.common.errors import InputError
from heliograph.common.events import Result

MAX_NS = (1 << 63) - 1
MAX_BARS = 5000
MAX_SYMBOLS = 500
MAX_TEXT = 64
MAX_DAYS = 3650
MAX_ROWS = 1000
SIGNAL_ID = re.compile(r"[0-9a-f]{16}")
TRACE_ID = re.compile(r"[0-9a-f]{32}")
RUN = re.compile(r"[0-9A-Za-z]{1,40}")

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="how many, 1 to 100")]
BarLimit = Annotated[int, QueryParameter(ge=1, le=MAX_BARS, description=f"how many bars, 1 to {MAX_BARS}")]
SymbolLimit = Annotated[
    int, QueryParameter(ge=1, le=MAX_SYMBOLS, description=f"how many symbols, 1 to {MAX_SYMBOLS}")
]
Days = Annotated[
    int, QueryParameter(ge=1, le=MAX_DAYS, description="days of the data, the newest one included")
]
HistoryLimit = Annotated[
    int, QueryParameter(ge=1, le=MAX_ROWS, description=f"how many rows, 1 to {MAX_ROWS}")
]
LastVotes = Annotated[
    int, QueryParameter(ge=1, le=100_000, description="of each source the newest so many votes")
]
OptionalSymbol = Annotated[str | None, QueryParameter(description="one symbol only, e.g. `BRK.B`")]
AfterSymbol = Annotated[
    str | None, QueryParameter(description="go on behind this symbol, the last one of a page")
]
Symbol = Annotated[str, QueryParameter(description="the symbol, e.g. `BRK.B`")]
OptionalStrategy = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=MAX_TEXT, description="one strategy only, e.g. `default@2`"),
]
OptionalResult = Annotated[Result | None, QueryParameter(description="one result only")]
Before = Annotated[
    int | None, QueryParameter(ge=0, le=MAX_NS, description="event time under this, UTC nanoseconds")
]
BeforeId = Annotated[
    str | None, QueryParameter(description="with `before`: of that event time, ids under this; 16 hex digits")
]
Since = Annotated[
    int | None,
    QueryParameter(ge=0, le=MAX_NS, description="signals given from here on, event time, UTC nanoseconds"),
]
Until = Annotated[
    int | None,
    QueryParameter(ge=0, le=MAX_NS, description="signals given before this, event time, UTC nanoseconds"),
]
Interval = Annotated[str | None, QueryParameter(description="e.g. `1d`; that of the newest bar without it")]
From = Annotated[
    int | None,
    QueryParameter(name="from", ge=0, le=MAX_NS, description="first start of a bar, UTC nanoseconds"),
]
To = Annotated[
    int | None, QueryParameter(name="to", ge=0, le=MAX_NS, description="last start of a bar, UTC nanoseconds")
]
SignalId = Annotated[
    str, PathParameter(description="16 hex digits", schema_extra={"pattern": "^[0-9a-f]{16}$"})
]
RunName = Annotated[
    str,
    PathParameter(description="1 to 40 letters and digits", schema_extra={"pattern": "^[0-9A-Za-z]{1,40}$"}),
]
OptionalSignal = Annotated[str | None, QueryParameter(description="id of a signal, 16 hex digits")]
OptionalTrace = Annotated[str | None, QueryParameter(description="W3C trace id, 32 hex digits")]


def digits(name: str, value: str, pattern: re.Pattern[str], count: int) -> str:
    """The value itself.

    Raises:
        InputError: it is not `count` lower-case hex digits.
    """
    if not pattern.fullmatch(value):
        raise InputError(f"{name}: {value!r}, expected {count} hex digits in lower case")
    return value


def cursor(before: int | None, before_id: str | None) -> None:
    """Check where a page begins.

    Raises:
        InputError: the id is none, or stands alone.
    """
    if before_id is not None:
        digits("before_id", before_id, SIGNAL_ID, 16)
        if before is None:
            raise InputError(f"before_id: {before_id!r}, expected together with before")


def span(since: int | None, until: int | None) -> None:
    """Check a time span.

    Raises:
        InputError: it ends before it begins.
    """
    if since is not None and until is not None and since > until:
        raise InputError(f"until: {until}, expected at least since ({since})")
