"""Results by the day on which signals ended, in event time, and what they add up to."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, LiteralString

import msgspec

from heliograph.common.clock import NANOSECONDS
from heliograph.common.subjects import check_symbol
from heliograph.tracker.database import Database
from heliograph.tracker.rows import MAX_TS

DAY_NS = 86_400 * NANOSECONDS


class PerformanceQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Results of the signals given from `since` to before `until` (nanoseconds), as in `StatisticsQuery`."""

    symbol: str | None = None
    strategy: str | None = None
    since: Annotated[int, msgspec.Meta(ge=0, le=MAX_TS)] = 0
    until: Annotated[int, msgspec.Meta(ge=0, le=MAX_TS)] = MAX_TS


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What ended on one day (UTC).

    Attributes:
        ts: its start, nanoseconds.
        net_r: sum of the R multiples, before costs.
        pnl_net: sum of the results after costs, percent of entry.
        cumulative_net_r: with all days before it; `cumulative_pnl_net` likewise.
    """

    day: str
    ts: int
    closed: int
    wins: int
    losses: int
    expired: int
    net_r: float
    pnl_net: float
    cumulative_net_r: float
    cumulative_pnl_net: float


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """The days, oldest first, and the deepest fall of the cumulative R below its highest day's end."""

    days: list[Day]
    max_drawdown_r: float


async def performance(database: Database, query: PerformanceQuery) -> Performance:
    """The days on which signals ended.

    Raises:
        InputError: the symbol is none.
        UnavailableError: Postgres is away.
    """
    if query.symbol is not None:
        check_symbol(query.symbol)
    symbol: LiteralString = "" if query.symbol is None else "AND symbol = %(symbol)s"
    strategy: LiteralString = "" if query.strategy is None else "AND strategy = %(strategy)s"
    rows = await database.fetch(
        # The parts put together are literals of this file.
        f"""SELECT ts / %(day)s, count(*), count(*) FILTER (WHERE result = 'win'),
            count(*) FILTER (WHERE result = 'loss'), count(*) FILTER (WHERE result = 'expired'),
            sum(r_multiple), sum(pnl_net)
        FROM outcomes WHERE opened >= %(since)s AND opened < %(until)s {symbol} {strategy}
        GROUP BY 1 ORDER BY 1""",  # noqa: S608 - the same
        {**msgspec.structs.asdict(query), "day": DAY_NS},
    )
    days, total_r, total_pnl = [], 0.0, 0.0
    for number, closed, wins, losses, expired, net_r, pnl_net in rows:
        total_r, total_pnl = total_r + net_r, total_pnl + pnl_net
        days.append(
            Day(
                day=datetime.fromtimestamp(number * DAY_NS // NANOSECONDS, UTC).date().isoformat(),
                ts=number * DAY_NS,
                closed=closed,
                wins=wins,
                losses=losses,
                expired=expired,
                net_r=net_r,
                pnl_net=pnl_net,
                cumulative_net_r=total_r,
                cumulative_pnl_net=total_pnl,
            )
        )
    return Performance(days=days, max_drawdown_r=drawdown(day.cumulative_net_r for day in days))


def drawdown(equity: Iterable[float]) -> float:
    """The deepest fall below the highest value before, at least 0; the curve begins at 0."""
    highest, deepest = 0.0, 0.0
    for value in equity:
        highest = max(highest, value)
        deepest = max(deepest, highest - value)
    return deepest
