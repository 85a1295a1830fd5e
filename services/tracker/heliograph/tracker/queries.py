"""What others may ask the tracker: `query.tracker.*`, JSON in and out; nobody else reads its database."""

from typing import Annotated, Any, Final, LiteralString

import msgspec

from heliograph.common.answering import answering
from heliograph.common.bus import Bus
from heliograph.common.errors import InputError
from heliograph.common.events import Signal
from heliograph.common.standing import MOST
from heliograph.common.subjects import check_symbol
from heliograph.tracker import refusals
from heliograph.tracker.database import Database
from heliograph.tracker.quality import HISTORY_NS, Quality, quality
from heliograph.tracker.refusals import Refusal
from heliograph.tracker.rows import MAX_TS
from heliograph.tracker.statistics import Statistics, StatisticsQuery, statistics, win_rate
from heliograph.tracker.verification import Verification, VerifyQuery

GROUP = "tracker"
JOINED: Final = """s.payload, r.payload, o.payload FROM every_signal s
    LEFT JOIN reasons r ON r.signal = s.id LEFT JOIN outcomes o ON o.signal = s.id"""


class SignalsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The newest signals; `before` (nanoseconds, exclusive) and `before_id` go on where a page has ended."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    symbol: str | None = None
    before: Annotated[int, msgspec.Meta(ge=0, le=MAX_TS)] | None = None
    before_id: str = ""


class SignalQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One signal."""

    id: Annotated[str, msgspec.Meta(min_length=1)]


class OpenQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The open signals, of a symbol or all, and the newest of each shard; a replica answers for its own."""

    symbol: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = MOST


class StatsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of everything."""


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of the record.

    Attributes:
        open: signals without an outcome.
        win_rate: wins / (wins + losses); None without any.
        due_without_outcome: open signals of whose symbol the record shows event time past their expiry.
    """

    signals: int
    open: int
    wins: int
    losses: int
    expired: int
    win_rate: float | None
    reasons: int
    outcomes: int
    due_without_outcome: int


class RefusalsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The newest refused changes of the record."""

    limit: Annotated[int, msgspec.Meta(ge=0, le=refusals.SHOWN_MOST)] = 20


class Refusals(msgspec.Struct, frozen=True, kw_only=True):
    """How many changes were ever refused, and the newest of them."""

    total: int
    newest: list[Refusal]


class Queries:
    """The answers: what verifies or records from the database, the rest from its reader."""

    def __init__(self, database: Database, reader: Database) -> None:
        self._database = database
        self._reader = reader

    async def register(self, bus: Bus) -> None:
        """Answer on the bus, one replica a request."""
        for name, answer in (
            ("signals", answering(SignalsQuery, self.signals)),
            ("signal", answering(SignalQuery, self.signal)),
            ("stats", answering(StatsQuery, self.stats)),
            ("verify", answering(VerifyQuery, Verification(self._database).page)),
            ("statistics", answering(StatisticsQuery, self.statistics)),
            ("quality", answering(SignalQuery, self.quality)),
            ("refusals", answering(RefusalsQuery, self.refusals)),
        ):
            await bus.respond(f"query.tracker.{name}", answer, queue=GROUP)

    async def signals(self, query: SignalsQuery) -> dict[str, list[dict[str, msgspec.Raw]]]:
        """The newest signals with their reason and outcome.

        Raises:
            InputError: the symbol is none.
            UnavailableError: Postgres is away.
        """
        if query.symbol is not None:
            check_symbol(query.symbol)
        symbol: LiteralString = "" if query.symbol is None else " AND s.symbol = %(symbol)s"
        page: LiteralString = (
            "" if query.before is None else " AND (s.ts, s.id) < (%(before)s, %(before_id)s)"
        )
        rows = await self._reader.fetch(
            f"SELECT {JOINED} WHERE true{symbol}{page} ORDER BY s.ts DESC, s.id DESC LIMIT %(limit)s",
            msgspec.structs.asdict(query),
        )
        return {"signals": [_joined(*row) for row in rows]}

    async def signal(self, query: SignalQuery) -> dict[str, msgspec.Raw]:
        """One signal with its reason and outcome.

        Raises:
            InputError: there is none of this id.
            UnavailableError: Postgres is away.
        """
        rows = await self._reader.fetch(f"SELECT {JOINED} WHERE s.id = %s", (query.id,))
        if not rows:
            raise InputError(f"id: {query.id!r}, expected the id of a signal")
        return _joined(*rows[0])

    async def refusals(self, query: RefusalsQuery) -> Refusals:
        """Refused changes, those of this moment included.

        Raises:
            UnavailableError: Postgres is away.
        """
        await refusals.collect(self._database)
        total, newest = await refusals.newest(self._database, query.limit)
        return Refusals(total=total, newest=newest)

    async def statistics(self, query: StatisticsQuery) -> Statistics:
        """What became of the signals, by one of their properties.

        Raises:
            InputError: the symbol is none.
            UnavailableError: Postgres is away.
        """
        return await statistics(self._reader, query)

    async def quality(self, query: SignalQuery) -> Quality:
        """How good one signal looked when it was given: nothing later counts.

        Raises:
            InputError: there is none of this id.
            UnavailableError: Postgres is away.
        """
        rows = await self._reader.fetch("SELECT payload FROM every_signal WHERE id = %s", (query.id,))
        if not rows:
            raise InputError(f"id: {query.id!r}, expected the id of a signal")
        signal = msgspec.json.decode(rows[0][0], type=Signal)
        ((wins, losses),) = await self._reader.fetch(
            """SELECT count(*) FILTER (WHERE result = 'win'), count(*) FILTER (WHERE result = 'loss')
            FROM outcomes WHERE symbol = %s AND ts > %s AND ts <= %s""",
            (signal.symbol, signal.ts - HISTORY_NS, signal.ts),
        )
        return quality(signal, wins, losses)

    async def stats(self, _: StatsQuery) -> Stats:
        """Counts of the record, all of one moment.

        Raises:
            UnavailableError: Postgres is away.
        """
        ((signals, opened, wins, losses, expired, reasons, outcomes, due),) = await self._reader.fetch(
            """WITH ended AS (
                SELECT count(*) FILTER (WHERE result = 'win') AS wins,
                    count(*) FILTER (WHERE result = 'loss') AS losses,
                    count(*) FILTER (WHERE result = 'expired') AS expired, count(*) AS outcomes
                FROM outcomes
            ), opened AS (
                SELECT s.symbol, s.expires FROM unfinished u JOIN signals s ON s.id = u.signal AND s.ts = u.ts
                WHERE NOT EXISTS (SELECT FROM outcomes o WHERE o.signal = u.signal)
            )
            SELECT (SELECT count(*) FROM every_signal), (SELECT count(*) FROM opened), wins, losses, expired,
                (SELECT count(*) FROM reasons), outcomes,
                (SELECT count(*) FROM opened p WHERE
                    EXISTS (SELECT FROM every_signal s WHERE s.symbol = p.symbol AND s.ts >= p.expires)
                    OR EXISTS (SELECT FROM outcomes o WHERE o.symbol = p.symbol AND o.ts >= p.expires))
            FROM ended"""
        )
        return Stats(
            signals=signals,
            open=opened,
            wins=wins,
            losses=losses,
            expired=expired,
            win_rate=win_rate(wins, losses),
            reasons=reasons,
            outcomes=outcomes,
            due_without_outcome=due,
        )


def _joined(signal: str, reason: str | None, outcome: str | None) -> dict[str, Any]:
    """The JSON of a signal as it came, with its reason and its outcome."""
    fields = msgspec.json.decode(signal, type=dict[str, msgspec.Raw])
    fields["reason"] = msgspec.Raw(reason or "null")
    fields["outcome"] = msgspec.Raw(outcome or "null")
    return fields
