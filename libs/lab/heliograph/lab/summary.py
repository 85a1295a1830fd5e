"""Everything that a backtest says, as one record: for the terminal, as JSON and for the report."""

import msgspec
import numpy as np

from heliograph.lab.backtest import Job, Result
from heliograph.lab.bars import DAY_NS, Floats
from heliograph.lab.chance import Interval, MonteCarlo, monte_carlo, portfolio_intervals, record_intervals
from heliograph.lab.ledger import span_ns
from heliograph.lab.performance import DAYS_A_YEAR, Performance, equity_of, performance, returns_of
from heliograph.lab.period import date_of
from heliograph.lab.problems import Problem
from heliograph.lab.record import Record, SourceRecord, by_regime, by_side, by_source, record
from heliograph.lab.reliability import Reliability, reliability
from heliograph.lab.verdict import verdict
from heliograph.tracker.closing import Costs


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A backtest's figures.

    Attributes:
        verdict: in words, first of all; `worth_trading` the same as a truth.
        strategy: name and version.
        first_day: with a bar in the period, as is `last_day`; `days` with bars, `years` between them.
        symbols: with good bars; `bars` good ones, `refused` the others by reason; `gaps` without explanation.
        exposure: share of the capital in positions, averaged over time, long and short alike.
        portfolio: of the strategy; `buy_and_hold` of the same symbols.
        intervals: 95 % by bootstrap, of figures of `portfolio` and `record`.
        record: how signals ended; `sides`, `regimes`, `sources` by those.
    """

    verdict: str
    worth_trading: bool
    strategy: str
    sources_used: tuple[str, ...]
    first_day: str
    last_day: str
    days: int
    years: float
    symbols: int
    bars: int
    refused: dict[str, int]
    gaps: int
    problems: list[Problem]
    signals: int
    signals_sha256: str
    costs: Costs
    exposure: float
    portfolio: Performance
    buy_and_hold: Performance
    intervals: dict[str, Interval]
    monte_carlo: MonteCarlo | None
    record: Record
    sides: dict[str, Record]
    regimes: dict[str, Record]
    sources: list[SourceRecord]
    reliability: Reliability


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """The capital at the end of each day with bars, 1 at the start; shape (days,).

    Attributes:
        day: counted from 1970.
        strategy: of the signals; `held` of buying and holding.
    """

    day: np.ndarray[tuple[int], np.dtype[np.int64]]
    strategy: Floats
    held: Floats


def curves(result: Result) -> Curves:
    """The capital day by day."""
    ledger = result.ledger
    traded = np.flatnonzero(ledger.bars)
    return Curves(
        day=traded + ledger.first,
        strategy=equity_of(ledger.profit, ledger.symbols)[traded],
        held=equity_of(ledger.held, ledger.symbols)[traded],
    )


def summarise(job: Job, result: Result) -> Summary:
    """The figures of a backtest."""
    days = curves(result)
    years = len(result.ledger.profit) / DAYS_A_YEAR
    trades, sources = result.trades, job.strategy.keys
    portfolio = performance(days.strategy, years)
    intervals = {
        **portfolio_intervals(returns_of(days.strategy), years),
        **record_intervals(trades),
    }
    whole = record(trades)
    worth, words = verdict(whole, portfolio, intervals)
    return Summary(
        verdict=words,
        worth_trading=worth,
        strategy=job.strategy.name,
        sources_used=sources,
        first_day=date_of(int(days.day[0]) * DAY_NS),
        last_day=date_of(int(days.day[-1]) * DAY_NS),
        days=len(days.day),
        years=years,
        symbols=len(result.symbols),
        bars=result.bars,
        refused=result.refused,
        gaps=result.gaps,
        problems=result.problems,
        signals=len(trades),
        signals_sha256=result.signals_sha256,
        costs=job.costs,
        exposure=result.ledger.holding_ns / span_ns(result.ledger) / result.ledger.symbols,
        portfolio=portfolio,
        buy_and_hold=performance(days.held, years),
        intervals=intervals,
        monte_carlo=monte_carlo(trades, result.ledger.symbols),
        record=whole,
        sides=by_side(trades),
        regimes=by_regime(trades),
        sources=by_source(trades, sources),
        reliability=reliability(trades, result.symbols, job.strategy.name),
    )
