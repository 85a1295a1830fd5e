"""The REST API: every answer comes from the owner of the data."""

import asyncio

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException

from heliograph.common.errors import InputError, UnavailableError
from heliograph.common.intervals import interval_ns
from heliograph.common.subjects import check_symbol
from heliograph.gateway import parameters as p
from heliograph.gateway.access import GUARDS
from heliograph.gateway.announced import PAUSES_S
from heliograph.gateway.hub import Hub
from heliograph.gateway.owners import Owners
from heliograph.gateway.recent import Recent
from heliograph.gateway.records import BarSeries, SignalPage, SignalRecord, Stats, System, Trace
from heliograph.gateway.refusals import HANDLERS
from heliograph.gateway.responses import EVERYWHERE, UNKNOWN


class Api(Controller):
    """What a client can ask."""

    path = "/api"
    guards = GUARDS
    exception_handlers = HANDLERS
    responses = EVERYWHERE
    tags = ("signals",)

    @get("/signals", summary="Signals, newest first")
    async def signals(
        self,
        owners: NamedDependency[Owners],
        limit: p.Limit = 10,
        symbol: p.OptionalSymbol = None,
        before: p.Before = None,
        before_id: p.BeforeId = None,
    ) -> SignalPage:
        """Signals with reasons and outcomes; the last one's `ts` and `id` as `before`, `before_id` go on."""
        if symbol is not None:
            check_symbol(symbol)
        p.cursor(before, before_id)
        return await owners.signals(limit, symbol, before, before_id)

    @get("/signals/latest", summary="The newest signal", responses={404: UNKNOWN})
    async def latest(self, owners: NamedDependency[Owners], symbol: p.OptionalSymbol = None) -> SignalRecord:
        """The newest signal, of all or of one symbol, with its reason and its outcome."""
        if symbol is not None:
            check_symbol(symbol)
        found = (await owners.signals(1, symbol, None, None)).signals
        if not found:
            raise NotFoundException("no signal" if symbol is None else f"symbol: {symbol!r} has no signal")
        return found[0]

    @get("/signals/{id:str}", summary="One signal", responses={404: UNKNOWN})
    async def signal(
        self,
        owners: NamedDependency[Owners],
        hub: NamedDependency[Hub],
        id: p.SignalId,  # noqa: A002 - the field's name
    ) -> SignalRecord:
        """One signal with its reason and its outcome; one that was told a moment ago is waited for."""
        known = p.digits("id", id, p.SIGNAL_ID, 16)
        for pause in PAUSES_S:
            try:
                return await owners.signal(known)
            except InputError as error:
                if known not in hub.announced:
                    raise NotFoundException(str(error)) from error
            await asyncio.sleep(pause)
        raise UnavailableError(f"id: {known!r} was told but is not recorded yet")

    @get(["/stats", "/signals/stats"], summary="Counts of signals, outcomes and archived rows")
    async def stats(self, stats: NamedDependency[Recent[Stats]]) -> Stats:
        """Counts, at most a second old."""
        return await stats.get()

    @get("/bars", summary="Bars of a symbol")
    async def bars(
        self,
        owners: NamedDependency[Owners],
        symbol: p.Symbol,
        interval: p.Interval = None,
        start: p.From = None,
        end: p.To = None,
        limit: p.BarLimit = 500,
    ) -> BarSeries:
        """Bars by columns, oldest first."""
        if start is not None and end is not None and start > end:
            raise InputError(f"to: {end}, expected at least from ({start})")
        if interval is not None:
            interval_ns(interval)
        return await owners.bars(check_symbol(symbol), interval, start, end, limit)

    @get("/trace", summary="The spans of a trace")
    async def trace(
        self,
        owners: NamedDependency[Owners],
        signal: p.OptionalSignal = None,
        trace_id: p.OptionalTrace = None,
    ) -> Trace:
        """The spans of the trace that a signal came from, or of a trace by its id."""
        if (signal is None) == (trace_id is None):
            raise InputError("signal: expected either this or trace_id")
        if signal is not None:
            p.digits("signal", signal, p.SIGNAL_ID, 16)
        if trace_id is not None:
            p.digits("trace_id", trace_id, p.TRACE_ID, 32)
        return await owners.trace(signal, trace_id)

    @get("/system", summary="Services, replicas, shards and lags")
    async def system(self, overview: NamedDependency[Recent[System]]) -> System:
        """Every replica and stream, at most a second old."""
        return await overview.get()
