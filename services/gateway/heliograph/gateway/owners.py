"""What the owners of the stores are asked, over NATS: the gateway itself keeps nothing."""

import asyncio
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from heliograph.common.bus import Bus
from heliograph.common.errors import UnavailableError
from heliograph.gateway.records import (
    ArchiveCounts,
    BarSeries,
    RefusedChanges,
    SignalPage,
    SignalRecord,
    Stats,
    Trace,
    TrackerStats,
)

WITHIN_S = 5.0
T = TypeVar("T")


class Owners:
    """Questions to the tracker, the archiver and the reasoning.

    Every method raises UnavailableError when the owner does not answer, or answers what does not fit the
    contract, and InputError when the owner refuses the question.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def signals(
        self, limit: int, symbol: str | None, before: int | None, before_id: str | None
    ) -> SignalPage:
        """The newest signals, at most `limit`, of (event time, id) under `before` (ns) and `before_id`."""
        asked = {"limit": limit, "symbol": symbol, "before": before, "before_id": before_id}
        return await self.ask("query.tracker.signals", asked, SignalPage)

    async def signal(self, signal_id: str) -> SignalRecord:
        """One signal with its reason and outcome."""
        return await self.ask("query.tracker.signal", {"id": signal_id}, SignalRecord)

    async def stats(self) -> Stats:
        """The tracker's counts, and the archive's where the archiver answers."""
        tracked, archived = await asyncio.gather(
            self.ask("query.tracker.stats", {}, TrackerStats), self._counts()
        )
        return Stats(**msgspec.structs.asdict(tracked), archived=archived)

    async def _counts(self) -> ArchiveCounts | None:
        try:
            return await self.ask("query.archiver.counts", {}, ArchiveCounts)
        except UnavailableError:
            return None

    async def bars(
        self, symbol: str, interval: str | None, start: int | None, end: int | None, limit: int
    ) -> BarSeries:
        """The newest bars of a symbol that start from `start` to `end` (nanoseconds, both included)."""
        asked = {"symbol": symbol, "interval": interval, "from": start, "to": end, "limit": limit}
        return await self.ask("query.archiver.bars", asked, BarSeries)

    async def trace(self, signal: str | None, trace_id: str | None) -> Trace:
        """The spans of a trace, by its id or by the signal that came of it."""
        return await self.ask("query.archiver.trace", {"signal": signal, "trace_id": trace_id}, Trace)

    async def refusals(self) -> int:
        """How many changes of the record were ever refused."""
        return (await self.ask("query.tracker.refusals", {"limit": 0}, RefusedChanges)).total

    async def ask(
        self, subject: str, body: Mapping[str, object], kind: type[T], timeout: float = WITHIN_S
    ) -> T:
        """The answer to a question, in the shape that the API gives it on; what is None is not asked for."""
        given = {key: value for key, value in body.items() if value is not None}
        answer = await self._bus.request(subject, given, timeout)
        try:
            return msgspec.convert(answer, kind)
        except msgspec.ValidationError as error:
            raise UnavailableError(f"{subject}: an answer that does not fit: {error}") from error
