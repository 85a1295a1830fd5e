"""The REST API of results: what became of the signals, and how far to trust what comes."""

import asyncio
import math
from statistics import NormalDist

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException

from heliograph.common.bus import Bus
from heliograph.common.errors import InputError, UnavailableError
from heliograph.common.standing import Standing, standing
from heliograph.common.subjects import check_symbol
from heliograph.gateway import parameters as p
from heliograph.gateway.access import GUARDS
from heliograph.gateway.operation_records import SignalProof
from heliograph.gateway.outcome_records import (
    Bin,
    Calibrations,
    Close,
    Closes,
    Days,
    Figures,
    Group,
    Groups,
    OutcomePage,
    Performance,
    Provider,
    SourceList,
    Sources,
    StandingPage,
    SymbolPage,
    SymbolRecord,
    SymbolStanding,
)
from heliograph.gateway.owners import Owners
from heliograph.gateway.recent import Recent
from heliograph.gateway.records import System
from heliograph.gateway.refusals import HANDLERS
from heliograph.gateway.responses import EVERYWHERE, UNKNOWN

Z = NormalDist().inv_cdf(0.975)
PERCENT = 100.0
PROPERTIES = ("all", "regime", "bucket", "action", "strategy")
"""By what the figures of the performance are asked for, in the order of its fields."""


class ResultsApi(Controller):
    """What a client can ask about results."""

    path = "/api"
    guards = GUARDS
    exception_handlers = HANDLERS
    responses = EVERYWHERE
    tags = ("results",)

    @get("/outcomes", summary="Ended signals, newest end first")
    async def outcomes(
        self,
        owners: NamedDependency[Owners],
        limit: p.Limit = 10,
        symbol: p.OptionalSymbol = None,
        result: p.OptionalResult = None,
        before: p.Before = None,
        before_id: p.BeforeId = None,
    ) -> OutcomePage:
        """Outcomes; the last one's `ts` and `id` as `before`, `before_id` go on."""
        if symbol is not None:
            check_symbol(symbol)
        p.cursor(before, before_id)
        asked = {"limit": limit, "symbol": symbol, "result": result, "before": before, "before_id": before_id}
        return await owners.ask("query.tracker.outcomes", asked, OutcomePage)

    @get("/positions", summary="Open signals as they stand, newest first")
    async def positions(
        self, bus: NamedDependency[Bus], limit: p.Limit = 10, symbol: p.OptionalSymbol = None
    ) -> Standing:
        """What each open signal has gained until its last bar, before costs; the sums are over all."""
        if symbol is not None:
            check_symbol(symbol)
        return await standing(bus, symbol=symbol, limit=limit)

    @get("/symbols", summary="Symbols, what became of their signals, and their newest close")
    async def symbols(
        self, owners: NamedDependency[Owners], limit: p.SymbolLimit = 100, after: p.AfterSymbol = None
    ) -> SymbolPage:
        """Symbols in the order of their names; the last one as `after` goes on."""
        if after is not None:
            check_symbol(after)
        page = await owners.ask("query.tracker.symbols", {"limit": limit, "after": after}, StandingPage)
        names = [each.symbol for each in page.symbols]
        try:
            closes = (await owners.ask("query.archiver.closes", {"symbols": names}, Closes)).closes
        except UnavailableError:
            closes = {}  # the record stands without the archive
        return SymbolPage(symbols=[with_close(each, closes.get(each.symbol)) for each in page.symbols])

    @get("/performance", summary="What the signals came to: over all, by property, by day")
    async def performance(
        self,
        owners: NamedDependency[Owners],
        symbol: p.OptionalSymbol = None,
        strategy: p.OptionalStrategy = None,
        since: p.Since = None,
        until: p.Until = None,
    ) -> Performance:
        """Figures of the signals given in a span; the definitions are those of `heliograph outcomes`."""
        if symbol is not None:
            check_symbol(symbol)
        p.span(since, until)
        chosen = {"symbol": symbol, "strategy": strategy, "since": since, "until": until}

        async def by(name: str) -> list[Group]:
            return (await owners.ask("query.tracker.statistics", {**chosen, "by": name}, Groups)).groups

        days, groups = await asyncio.gather(
            owners.ask("query.tracker.performance", chosen, Days), asyncio.gather(*map(by, PROPERTIES))
        )
        total, *parts = groups
        return Performance(
            statistics=total[0] if total else None,
            by_regime=parts[0],
            by_bucket=parts[1],
            by_action=parts[2],
            by_strategy=parts[3],
            days=days.days,
            max_drawdown_r=days.max_drawdown_r,
        )

    @get("/calibration", summary="What a confidence has been worth, by strategy")
    async def calibration(
        self, owners: NamedDependency[Owners], strategy: p.OptionalStrategy = None
    ) -> Calibrations:
        """The calibrations in use, with reliability diagrams and their 95 % intervals."""
        found = await owners.ask("query.tracker.calibration", {"strategy": strategy}, Calibrations)
        replace = msgspec.structs.replace
        return Calibrations(
            calibrations=[
                replace(
                    each,
                    trial={name: bounded(figures) for name, figures in each.trial.items()},
                    published={
                        name: figures and bounded(figures) for name, figures in each.published.items()
                    },
                )
                for each in found.calibrations
            ]
        )

    @get("/sources", summary="How reliable the sources of votes were, and how the providers are")
    async def sources(
        self,
        owners: NamedDependency[Owners],
        overview: NamedDependency[Recent[System]],
        strategy: p.OptionalStrategy = None,
        last: p.LastVotes = 100,
    ) -> Sources:
        """Each source's newest votes against what came; every provider of bars as its fetcher sees it."""
        asked = {"strategy": strategy, "last": last}
        found, system = await asyncio.gather(
            owners.ask("query.tracker.sources", asked, SourceList), overview.get()
        )
        return Sources(sources=found.sources, providers=providers(system))

    @get("/verify/{id:str}", summary="One signal against the ledger", responses={404: UNKNOWN})
    async def verify(self, owners: NamedDependency[Owners], id: p.SignalId) -> SignalProof:  # noqa: A002 - the field's name
        """Its hash, its row, its block, its neighbours, and its day's Merkle root with a proof."""
        known = p.digits("id", id, p.SIGNAL_ID, 16)
        try:
            return await owners.ask("query.tracker.proof", {"id": known}, SignalProof)
        except InputError as error:
            raise NotFoundException(str(error)) from error


def with_close(standing: SymbolStanding, newest: Close | None) -> SymbolRecord:
    """A symbol with its newest close, where the archive has one."""
    return SymbolRecord(
        **msgspec.structs.asdict(standing),
        last_close=newest.close if newest else None,
        last_close_ts=newest.ts if newest else None,
    )


def providers(system: System) -> list[Provider]:
    """What the fetchers say of their providers."""
    return [
        Provider(
            provider=str(replica.status.get("provider", "")),
            member=replica.member,
            state=str(replica.status.get("health", "unknown")),
            done=bool(replica.status.get("done")),
            gaps=replica.status.get("gaps"),
        )
        for replica in system.replicas
        if replica.service == "fetcher"
    ]


def bounded(figures: Figures) -> Figures:
    """Figures whose bins say how sure their win rates are."""
    return msgspec.structs.replace(
        figures, bins=[interval(b) for b in figures.bins], buckets=[interval(b) for b in figures.buckets]
    )


def interval(found: Bin) -> Bin:
    """A bin with the 95 % interval of its win rate (Wilson 1927, the score interval)."""
    if found.win_rate is None or not found.count:
        return found
    share, count = found.win_rate / PERCENT, found.count
    middle = share + Z**2 / (2 * count)
    spread = Z * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    scale = 1 + Z**2 / count
    return msgspec.structs.replace(
        found,
        win_low=PERCENT * max(0.0, (middle - spread) / scale),
        win_high=PERCENT * min(1.0, (middle + spread) / scale),
    )
