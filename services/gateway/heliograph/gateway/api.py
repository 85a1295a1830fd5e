"""The REST API: every answer comes from the owner of the data."""

import re
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter

from heliograph.common.errors import InputError
from heliograph.common.intervals import interval_ns
from heliograph.common.subjects import check_symbol
from heliograph.gateway.owners import Owners
from heliograph.gateway.recent import Recent
from heliograph.gateway.records import BarSeries, Refusal, SignalPage, SignalRecord, Stats, System, Trace
from heliograph.gateway.refusals import HANDLERS, refuse_unknown

MAX_NS = (1 << 63) - 1
MAX_BARS = 5000
SIGNAL_ID = re.compile(r"[0-9a-f]{16}")
TRACE_ID = re.compile(r"[0-9a-f]{32}")

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="how many, 1 to 100")]
BarLimit = Annotated[int, QueryParameter(ge=1, le=MAX_BARS, description=f"how many bars, 1 to {MAX_BARS}")]
OptionalSymbol = Annotated[str | None, QueryParameter(description="one symbol only, e.g. `BRK.B`")]
Symbol = Annotated[str, QueryParameter(description="the symbol, e.g. `BRK.B`")]
Before = Annotated[
    int | None, QueryParameter(ge=0, le=MAX_NS, description="event time under this, UTC nanoseconds")
]
BeforeId = Annotated[
    str | None, QueryParameter(description="with `before`: of that event time, ids under this; 16 hex digits")
]
Interval = Annotated[str | None, QueryParameter(description="e.g. `1d`; that of the newest bar without it")]
From = Annotated[
    int | None,
    QueryParameter(name="from", ge=0, le=MAX_NS, description="first start of a bar, UTC nanoseconds"),
]
To = Annotated[
    int | None, QueryParameter(name="to", ge=0, le=MAX_NS, description="last start of a bar, UTC nanoseconds")
]
SignalId = Annotated[str, PathParameter(description="16 hex digits")]
OptionalSignal = Annotated[str | None, QueryParameter(description="id of a signal, 16 hex digits")]
OptionalTrace = Annotated[str | None, QueryParameter(description="W3C trace id, 32 hex digits")]

AWAY = ResponseSpec(Refusal, description="the owner of the data does not answer now", generate_examples=False)
REFUSED = ResponseSpec(
    Refusal, description="a parameter is wrong; the text names it", generate_examples=False
)
UNKNOWN = ResponseSpec(Refusal, description="there is no such signal", generate_examples=False)


def digits(name: str, value: str, pattern: re.Pattern[str], count: int) -> str:
    """The value itself.

    Raises:
        InputError: it is not `count` lower-case hex digits.
    """
    if not pattern.fullmatch(value):
        raise InputError(f"{name}: {value!r}, expected {count} hex digits in lower case")
    return value


class Api(Controller):
    """What a client can ask."""

    path = "/api"
    guards = (refuse_unknown,)
    exception_handlers = HANDLERS
    responses = {400: REFUSED, 503: AWAY}  # noqa: RUF012 - Litestar's own way to declare them

    @get("/signals", summary="Signals, newest first")
    async def signals(
        self,
        owners: NamedDependency[Owners],
        limit: Limit = 10,
        symbol: OptionalSymbol = None,
        before: Before = None,
        before_id: BeforeId = None,
    ) -> SignalPage:
        """Signals with reasons and outcomes; the last one's `ts` and `id` as `before`, `before_id` go on."""
        if symbol is not None:
            check_symbol(symbol)
        if before_id is not None:
            digits("before_id", before_id, SIGNAL_ID, 16)
            if before is None:
                raise InputError(f"before_id: {before_id!r}, expected together with before")
        return await owners.signals(limit, symbol, before, before_id)

    @get("/signals/{id:str}", summary="One signal", responses={404: UNKNOWN})
    async def signal(self, owners: NamedDependency[Owners], id: SignalId) -> SignalRecord:  # noqa: A002 - the field's name
        """One signal with its reason and its outcome."""
        known = digits("id", id, SIGNAL_ID, 16)
        try:
            return await owners.signal(known)
        except InputError as error:
            raise NotFoundException(str(error)) from error

    @get("/stats", summary="Counts of signals, outcomes and archived rows")
    async def stats(self, stats: NamedDependency[Recent[Stats]]) -> Stats:
        """Counts, at most a second old."""
        return await stats.get()

    @get("/bars", summary="Bars of a symbol")
    async def bars(
        self,
        owners: NamedDependency[Owners],
        symbol: Symbol,
        interval: Interval = None,
        start: From = None,
        end: To = None,
        limit: BarLimit = 500,
    ) -> BarSeries:
        """Bars by columns, oldest first."""
        if start is not None and end is not None and start > end:
            raise InputError(f"to: {end}, expected at least from ({start})")
        if interval is not None:
            interval_ns(interval)
        return await owners.bars(check_symbol(symbol), interval, start, end, limit)

    @get("/trace", summary="The spans of a trace")
    async def trace(
        self, owners: NamedDependency[Owners], signal: OptionalSignal = None, trace_id: OptionalTrace = None
    ) -> Trace:
        """The spans of the trace that a signal came from, or of a trace by its id."""
        if (signal is None) == (trace_id is None):
            raise InputError("signal: expected either this or trace_id")
        if signal is not None:
            digits("signal", signal, SIGNAL_ID, 16)
        if trace_id is not None:
            digits("trace_id", trace_id, TRACE_ID, 32)
        return await owners.trace(signal, trace_id)

    @get("/system", summary="Services, replicas, shards and lags")
    async def system(self, overview: NamedDependency[Recent[System]]) -> System:
        """Every replica and stream, at most a second old."""
        return await overview.get()
