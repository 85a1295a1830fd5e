"""What became of the signals: one definition of each figure, over all or by a property of the signals.

- win rate = wins / (wins + losses); expired are shown by themselves
- coverage = signals with an outcome / signals due one; due is what has one, or whose expiry has passed in the
  event time that the record shows of its symbol
- profit factor = gains / losses over all that ended, expired included, by the sign of the net result
"""

from typing import Annotated, Literal, LiteralString

import msgspec

from heliograph.common.subjects import check_symbol
from heliograph.tracker.database import Database
from heliograph.tracker.rows import MAX_TS

By = Literal["all", "symbol", "strategy", "regime", "action", "bucket"]
KEYS: dict[By, LiteralString] = {
    "all": "'all'",
    "symbol": "s.symbol",
    "strategy": "s.strategy",
    "regime": "s.regime",
    "action": "s.action",
    "bucket": """CASE WHEN s.confidence >= 95 THEN '95-100' WHEN s.confidence >= 85 THEN '85-95'
        WHEN s.confidence >= 75 THEN '75-85' ELSE '0-75' END""",
}


class StatisticsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of the signals from `since` to before `until` (nanoseconds), the largest groups first."""

    by: By = "all"
    symbol: str | None = None
    strategy: str | None = None
    since: Annotated[int, msgspec.Meta(ge=0, le=MAX_TS)] = 0
    until: Annotated[int, msgspec.Meta(ge=0, le=MAX_TS)] = MAX_TS
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one group.

    Attributes:
        signals: given; `open` without an outcome, `overdue` those of them that are due one.
        win_rate: 0–1; None without a win or a loss. `coverage` likewise, None while none is due.
        profit_factor: None without a loss.
        pnl_net: mean result after costs in percent of entry; `r_multiple` mean result before costs in units
            of the initial risk; `bars` mean bars held; all None without an outcome.
    """

    key: str
    signals: int
    open: int
    overdue: int
    outcomes: int
    wins: int
    losses: int
    expired: int
    win_rate: float | None
    coverage: float | None
    profit_factor: float | None
    pnl_net: float | None
    r_multiple: float | None
    bars: float | None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The groups."""

    groups: list[Group]


def win_rate(wins: int, losses: int) -> float | None:
    """Wins / (wins + losses); None without any."""
    return wins / (wins + losses) if wins + losses else None


def coverage(outcomes: int, overdue: int) -> float | None:
    """Signals with an outcome / signals due one; None while none is due."""
    return outcomes / (outcomes + overdue) if outcomes + overdue else None


async def statistics(database: Database, query: StatisticsQuery) -> Statistics:
    """The figures, all of one moment.

    Raises:
        InputError: the symbol is none.
        UnavailableError: Postgres is away.
    """
    if query.symbol is not None:
        check_symbol(query.symbol)
    symbol: LiteralString = "" if query.symbol is None else "AND s.symbol = %(symbol)s"
    strategy: LiteralString = "" if query.strategy is None else "AND s.strategy = %(strategy)s"
    rows = await database.fetch(
        # The parts put together are literals of this file.
        f"""WITH reached AS (
            SELECT symbol, max(ts) AS ts
            FROM (SELECT symbol, ts FROM every_signal UNION ALL SELECT symbol, ts FROM outcomes) AS seen
            GROUP BY symbol
        )
        SELECT {KEYS[query.by]} AS key, count(*) AS signals,
            count(*) FILTER (WHERE o.signal IS NULL AND s.expires <= r.ts), count(o.signal),
            count(*) FILTER (WHERE o.result = 'win'), count(*) FILTER (WHERE o.result = 'loss'),
            count(*) FILTER (WHERE o.result = 'expired'),
            coalesce(sum(o.pnl_net) FILTER (WHERE o.pnl_net > 0), 0),
            coalesce(-sum(o.pnl_net) FILTER (WHERE o.pnl_net < 0), 0),
            avg(o.pnl_net), avg(o.r_multiple), avg(o.bars)::double precision
        FROM every_signal s JOIN reached r ON r.symbol = s.symbol LEFT JOIN outcomes o ON o.signal = s.id
        WHERE s.ts >= %(since)s AND s.ts < %(until)s {symbol} {strategy}
        GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(limit)s""",  # noqa: S608 - the same
        msgspec.structs.asdict(query),
    )
    return Statistics(groups=[_group(*row) for row in rows])


def _group(
    key: str,
    signals: int,
    overdue: int,
    outcomes: int,
    wins: int,
    losses: int,
    expired: int,
    gained: float,
    lost: float,
    pnl_net: float | None,
    r_multiple: float | None,
    bars: float | None,
) -> Group:
    return Group(
        key=key,
        signals=signals,
        open=signals - outcomes,
        overdue=overdue,
        outcomes=outcomes,
        wins=wins,
        losses=losses,
        expired=expired,
        win_rate=win_rate(wins, losses),
        coverage=coverage(outcomes, overdue),
        profit_factor=gained / lost if lost else None,
        pnl_net=pnl_net,
        r_multiple=r_multiple,
        bars=bars,
    )
