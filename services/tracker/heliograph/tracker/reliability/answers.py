"""What others may ask of the sources: `query.tracker.sources`. Only outcomes up to a moment count."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from heliograph.common.answering import answering
from heliograph.common.bus import Bus
from heliograph.tracker.database import Database
from heliograph.tracker.queries import GROUP
from heliograph.tracker.reliability.figures import Record, offered, record
from heliograph.tracker.rows import MAX_TS

SUBJECT = "query.tracker.sources"

Weight = Annotated[float, msgspec.Meta(ge=0, le=1)]


class SourcesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How reliable the sources were.

    Attributes:
        strategy: only votes on its signals.
        until: event time, nanoseconds: only outcomes from before it count, so that nothing looks ahead.
        last: of each source the newest so many votes.
        weights: source → weight, for which a step by these figures is asked.
    """

    strategy: str | None = None
    until: Annotated[int, msgspec.Meta(ge=0, le=MAX_TS)] = MAX_TS
    last: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 100
    weights: dict[str, Weight] = {}


class SourceReliability(msgspec.Struct, frozen=True, kw_only=True):
    """One source, over all regimes and by each in which it voted.

    Attributes:
        newest: event time of the newest outcome counted, nanoseconds.
    """

    source: str
    newest: int
    all: Record
    regimes: dict[str, Record]


class Reliabilities(msgspec.Struct, frozen=True, kw_only=True):
    """The sources, those with most votes first; `offered` the weights after one step, where asked for."""

    sources: list[SourceReliability]
    offered: dict[str, float] | None = None


class SourceAnswers:
    """The answers, from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, bus: Bus) -> None:
        """Answer on the bus, one replica a request."""
        await bus.respond(SUBJECT, answering(SourcesQuery, self.sources), queue=GROUP)

    async def sources(self, query: SourcesQuery) -> Reliabilities:
        """What the sources' newest votes came to.

        Raises:
            UnavailableError: Postgres is away.
        """
        rows = await self._database.fetch(
            """WITH ended AS (
                SELECT signal, opened, ts, action, result, r_multiple FROM outcomes
                WHERE ts < %(until)s AND (%(strategy)s::text IS NULL OR strategy = %(strategy)s)
            ), cast_votes AS (
                SELECT v.source, s.regime, e.ts, e.result, v.direction,
                    v.direction * CASE e.action WHEN 'BUY' THEN 1 ELSE -1 END AS side, e.r_multiple,
                    row_number() OVER (PARTITION BY v.source ORDER BY e.ts DESC, e.signal) AS place
                FROM ended e JOIN every_signal s ON s.id = e.signal AND s.ts = e.opened,
                    jsonb_to_recordset(s.votes) AS v(source text, direction integer)
            )
            SELECT source, regime, max(ts), count(*),
                count(*) FILTER (WHERE side > 0 AND result = 'win' OR side < 0 AND result = 'loss'),
                count(*) FILTER (WHERE side > 0 AND result = 'loss' OR side < 0 AND result = 'win'),
                count(*) FILTER (WHERE side <> 0 AND result = 'expired'),
                count(*) FILTER (WHERE side = 0), avg(side * r_multiple) FILTER (WHERE side <> 0)
            FROM cast_votes WHERE place <= %(last)s
            GROUP BY GROUPING SETS ((source), (source, regime))
            ORDER BY regime NULLS FIRST, count(*) DESC, source""",
            {"until": query.until, "strategy": query.strategy, "last": query.last},
        )
        regimes: dict[str, dict[str, Record]] = {}
        for source, regime, _, *counts in rows:
            if regime is not None:
                regimes.setdefault(source, {})[regime] = record(*counts)
        found = [
            SourceReliability(source=source, newest=newest, all=record(*counts), regimes=regimes[source])
            for source, regime, newest, *counts in rows
            if regime is None
        ]
        return Reliabilities(sources=found, offered=_offered(query.weights, found))


def _offered(weights: Mapping[str, float], found: list[SourceReliability]) -> dict[str, float] | None:
    return offered(weights, {one.source: one.all for one in found}) if weights else None
