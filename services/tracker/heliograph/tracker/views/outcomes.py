"""The ended signals, newest end first: each outcome with what its signal had promised."""

from typing import Annotated, Any, LiteralString

import msgspec

from heliograph.common.events import Result, Signal
from heliograph.common.subjects import check_symbol
from heliograph.tracker.database import Database
from heliograph.tracker.quality import HISTORY_NS, quality
from heliograph.tracker.rows import MAX_TS


class OutcomesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The newest outcomes; `before` (nanoseconds) and `before_id` (an outcome's) go on where a page ended."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    symbol: str | None = None
    result: Result | None = None
    before: Annotated[int, msgspec.Meta(ge=0, le=MAX_TS)] | None = None
    before_id: str = ""


async def outcomes(database: Database, query: OutcomesQuery) -> dict[str, list[dict[str, Any]]]:
    """Outcomes as they were published, beside their signals' confidence, regime and quality.

    Raises:
        InputError: the symbol is none.
        UnavailableError: Postgres is away.
    """
    if query.symbol is not None:
        check_symbol(query.symbol)
    symbol: LiteralString = "" if query.symbol is None else "AND o.symbol = %(symbol)s"
    result: LiteralString = "" if query.result is None else "AND o.result = %(result)s"
    page: LiteralString = "" if query.before is None else "AND (o.ts, o.id) < (%(before)s, %(before_id)s)"
    rows = await database.fetch(
        # The parts put together are literals of this file.
        f"""WITH page AS (
            SELECT o.* FROM outcomes o WHERE true {symbol} {result} {page}
            ORDER BY o.ts DESC, o.id DESC LIMIT %(limit)s
        )
        SELECT p.payload, s.payload, h.wins, h.losses
        FROM page p JOIN every_signal s ON s.id = p.signal AND s.ts = p.opened
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE e.result = 'win') AS wins,
                count(*) FILTER (WHERE e.result = 'loss') AS losses
            FROM outcomes e
            WHERE e.symbol = p.symbol AND e.ts > p.opened - %(history)s AND e.ts <= p.opened
        ) h ORDER BY p.ts DESC, p.id DESC""",  # noqa: S608 - the same
        {**msgspec.structs.asdict(query), "history": HISTORY_NS},
    )
    return {"outcomes": [_ended(*row) for row in rows]}


def _ended(outcome: str, signal: str, wins: int, losses: int) -> dict[str, Any]:
    """The JSON of an outcome as it came, with its signal's."""
    given = msgspec.json.decode(signal, type=Signal)
    looked = quality(given, wins, losses)
    return {
        **msgspec.json.decode(outcome, type=dict[str, msgspec.Raw]),
        "confidence": given.confidence,
        "raw_confidence": given.raw_confidence,
        "regime": given.regime,
        "score": looked.score,
        "grade": looked.grade,
    }
