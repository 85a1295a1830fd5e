"""Every symbol that has had a signal, with what became of its signals, in the order of their names."""

from typing import Annotated

import msgspec

from heliograph.tracker.database import Database
from heliograph.tracker.statistics import win_rate


class SymbolsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Symbols; `after` goes on behind the last one of a page."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    after: str = ""


class SymbolRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol.

    Attributes:
        signals: given; `open` without an outcome.
        win_rate: wins / (wins + losses), 0–1; None without either.
        r_multiple: mean result before costs in units of the initial risk; None without an outcome.
        pnl_net: mean result after costs in percent of entry, `total_pnl_net` their sum.
        last_ts: event time of the newest signal, nanoseconds.
    """

    symbol: str
    signals: int
    open: int
    outcomes: int
    wins: int
    losses: int
    expired: int
    win_rate: float | None
    r_multiple: float | None
    pnl_net: float | None
    total_pnl_net: float
    last_ts: int


class Symbols(msgspec.Struct, frozen=True, kw_only=True):
    """The symbols of a page."""

    symbols: list[SymbolRecord]


async def symbols(database: Database, query: SymbolsQuery) -> Symbols:
    """One page of the symbols.

    Raises:
        UnavailableError: Postgres is away.
    """
    rows = await database.fetch(
        """WITH given AS (
            SELECT symbol, count(*) AS signals, max(ts) AS last_ts FROM every_signal
            WHERE symbol > %(after)s GROUP BY symbol ORDER BY symbol LIMIT %(limit)s
        ), ended AS (
            SELECT symbol, count(*) AS outcomes, count(*) FILTER (WHERE result = 'win') AS wins,
                count(*) FILTER (WHERE result = 'loss') AS losses,
                count(*) FILTER (WHERE result = 'expired') AS expired,
                avg(r_multiple) AS r_multiple, avg(pnl_net) AS pnl_net, sum(pnl_net) AS total_pnl_net
            FROM outcomes WHERE symbol IN (SELECT symbol FROM given) GROUP BY symbol
        )
        SELECT symbol, signals, coalesce(outcomes, 0), coalesce(wins, 0), coalesce(losses, 0),
            coalesce(expired, 0), r_multiple, pnl_net, coalesce(total_pnl_net, 0), last_ts
        FROM given LEFT JOIN ended USING (symbol) ORDER BY symbol""",
        msgspec.structs.asdict(query),
    )
    return Symbols(symbols=[_record(*row) for row in rows])


def _record(
    symbol: str,
    signals: int,
    outcomes: int,
    wins: int,
    losses: int,
    expired: int,
    r_multiple: float | None,
    pnl_net: float | None,
    total_pnl_net: float,
    last_ts: int,
) -> SymbolRecord:
    return SymbolRecord(
        symbol=symbol,
        signals=signals,
        open=signals - outcomes,
        outcomes=outcomes,
        wins=wins,
        losses=losses,
        expired=expired,
        win_rate=win_rate(wins, losses),
        r_multiple=r_multiple,
        pnl_net=pnl_net,
        total_pnl_net=total_pnl_net,
        last_ts=last_ts,
    )
