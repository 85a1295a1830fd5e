"""The REST API of the archive's sums: what the materialised views hold of the last days of the data."""

from litestar import Controller, get
from litestar.di import NamedDependency

from heliograph.gateway import parameters as p
from heliograph.gateway.access import GUARDS
from heliograph.gateway.history_records import (
    ConfidenceBucket,
    DailySignals,
    SourcePeriod,
    SpendDay,
    SpendHour,
    SpendSignal,
    SymbolPeriod,
)
from heliograph.gateway.owners import Owners
from heliograph.gateway.refusals import HANDLERS
from heliograph.gateway.responses import EVERYWHERE

LIFE_S = 15.0
"""For an answer: sums of days that nobody has asked for take seconds, once."""
DAYS = 30


class HistoryApi(Controller):
    """What a client can ask about a period."""

    path = "/api/history"
    guards = GUARDS
    exception_handlers = HANDLERS
    responses = EVERYWHERE
    tags = ("history",)

    @get("/signals", summary="Signals a day")
    async def signals(self, owners: NamedDependency[Owners], days: p.Days = DAYS) -> list[DailySignals]:
        """Buys, sells and mean confidence, oldest day first."""
        return await owners.ask("query.archiver.daily_signals", {"days": days}, list[DailySignals], LIFE_S)

    @get("/symbols", summary="What ended, by symbol")
    async def symbols(
        self, owners: NamedDependency[Owners], days: p.Days = DAYS, limit: p.HistoryLimit = 100
    ) -> list[SymbolPeriod]:
        """Sums of the symbols, those that gained most first."""
        asked = {"days": days, "limit": limit}
        return await owners.ask("query.archiver.performance", asked, list[SymbolPeriod], LIFE_S)

    @get("/confidence", summary="How often signals won, by confidence")
    async def confidence(
        self, owners: NamedDependency[Owners], days: p.Days = DAYS
    ) -> list[ConfidenceBucket]:
        """Ten points a bucket, the lowest first."""
        asked = {"days": days}
        return await owners.ask("query.archiver.confidence_buckets", asked, list[ConfidenceBucket], LIFE_S)

    @get("/sources", summary="How often each source was on the side that won")
    async def sources(self, owners: NamedDependency[Owners], days: p.Days = DAYS) -> list[SourcePeriod]:
        """The best first; those that took no side are left out."""
        return await owners.ask("query.archiver.reliability", {"days": days}, list[SourcePeriod], LIFE_S)

    @get("/spend/hours", summary="What reasons cost, by hour and provider")
    async def hours(self, owners: NamedDependency[Owners], days: p.Days = DAYS) -> list[SpendHour]:
        """Hours of event time in which something was paid, oldest first."""
        return await owners.ask("query.archiver.spend", {"days": days}, list[SpendHour], LIFE_S)

    @get("/spend/days", summary="What reasons cost, by day, provider and model")
    async def days(self, owners: NamedDependency[Owners], days: p.Days = DAYS) -> list[SpendDay]:
        """Event days on which something was paid, oldest first."""
        return await owners.ask("query.archiver.spend_days", {"days": days}, list[SpendDay], LIFE_S)

    @get("/spend/signals", summary="The signals whose reasons cost most")
    async def dearest(
        self, owners: NamedDependency[Owners], days: p.Days = DAYS, limit: p.HistoryLimit = 100
    ) -> list[SpendSignal]:
        """The dearest first."""
        asked = {"days": days, "limit": limit}
        return await owners.ask("query.archiver.spend_signals", asked, list[SpendSignal], LIFE_S)
