"""What chance could have made of a record: intervals by bootstrap, and drawn sequences of trades."""

from typing import Any

import msgspec
import numpy as np
from arch.bootstrap import StationaryBootstrap

from heliograph.common.outcomes import LOSS, OPEN, WIN
from heliograph.lab.bars import DAY_NS, Floats, Integers
from heliograph.lab.performance import drawdown_of, performance
from heliograph.lab.trades import Trades
from heliograph.tracker.closing import PERCENT

SEED = 20_171_117
"""Drawn once and for all, so that the same backtest gives the same intervals."""
DRAWS = 1000
LEVEL = 0.95
BLOCK_DAYS = 20
BLOCK_WEEKS = 4
"""Mean length of the blocks that are drawn whole: signals and profits of neighbouring days hang together
(a position lasts for up to 30 days, and symbols move with each other)."""
PORTFOLIO = ("yearly_return", "sharpe", "sortino", "max_drawdown", "calmar", "var_95", "cvar_95")


class Interval(msgspec.Struct, frozen=True):
    """The middle 95 % of what the bootstrap gave."""

    low: float
    high: float


class MonteCarlo(msgspec.Struct, frozen=True, kw_only=True):
    """Trades drawn with replacement, as many as there were, one after the other, each of one stake.

    Attributes:
        draws: how many sequences.
        total_return: quantiles of the final profit at 5, 50 and 95 %, as fractions of the capital.
        max_drawdown: the same of the largest fall from a peak.
        loss: share of the sequences that end with a loss.
    """

    draws: int
    total_return: tuple[float, float, float]
    max_drawdown: tuple[float, float, float]
    loss: float


def portfolio_intervals(returns: Floats, years: float) -> dict[str, Interval]:
    """Intervals of the portfolio's figures, from whole blocks of days (stationary bootstrap).

    Args:
        returns: of each day with bars; shape (days,).
        years: that they span.
    """
    if len(returns) < 2 * BLOCK_DAYS:
        return {}
    found: dict[str, list[float]] = {name: [] for name in PORTFOLIO}
    for (drawn,), _ in bootstrap(BLOCK_DAYS, returns).bootstrap(DRAWS):
        figures = performance(np.cumprod(1.0 + drawn), years)
        for name, values in found.items():
            value = getattr(figures, name)
            if value is not None:
                values.append(value)
    return {name: interval(values) for name, values in found.items() if values}


def record_intervals(trades: Trades) -> dict[str, Interval]:
    """Intervals of win rate, profit factor and means, from whole blocks of weeks."""
    ended = trades[trades["result"] != OPEN]
    weeks = weekly(ended)
    if len(weeks) < 2 * BLOCK_WEEKS:
        return {}
    found: dict[str, list[float]] = {}
    for (drawn,), _ in bootstrap(BLOCK_WEEKS, weeks).bootstrap(DRAWS):
        for name, value in totals(drawn.sum(axis=0)).items():
            found.setdefault(name, []).append(value)
    return {name: interval(values) for name, values in found.items()}


def bootstrap(block: int, values: Floats | Integers) -> Any:
    """The stationary bootstrap (Politis and Romano 1994) of some rows."""
    return StationaryBootstrap(block, values, seed=np.random.default_rng(SEED))


def weekly(ended: Trades) -> Floats:
    """Sums of the signals of each week, from the first with one to the last; shape (weeks, 6).

    Columns: wins, losses, what was gained and what was lost (percent after costs), count, R multiples.
    """
    if not len(ended):
        return np.zeros((0, 6))
    week = ended["ts"] // (7 * DAY_NS)
    week -= week.min()
    net = ended["pnl_net"]
    columns = (
        ended["result"] == WIN,
        ended["result"] == LOSS,
        np.maximum(net, 0.0),
        np.maximum(-net, 0.0),
        np.ones(len(ended)),
        ended["r_multiple"],
    )
    return np.stack([np.bincount(week, weights=column) for column in columns], axis=1)


def totals(sums: Floats) -> dict[str, float]:
    """The figures of some weeks' sums."""
    wins, losses, gained, lost, count, multiples = sums.tolist()
    found = {}
    if wins + losses:
        found["win_rate"] = wins / (wins + losses)
    if lost:
        found["profit_factor"] = gained / lost
    if count:
        found["mean_net"] = (gained - lost) / count
        found["mean_r"] = multiples / count
    return found


def interval(values: list[float]) -> Interval:
    """The middle of the values, `LEVEL` of them."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Interval(low, high)


def monte_carlo(trades: Trades, symbols: int) -> MonteCarlo | None:
    """What other sequences of the same trades would have done; None without an ended one."""
    net = trades["pnl_net"][trades["result"] != OPEN] / PERCENT / max(symbols, 1)
    if not len(net):
        return None
    random = np.random.default_rng(SEED)
    finals, falls = np.zeros(DRAWS), np.zeros(DRAWS)
    for n in range(DRAWS):
        equity = 1.0 + np.cumsum(random.choice(net, len(net)))
        finals[n] = equity[-1] - 1.0
        falls[n] = drawdown_of(equity).max()
    return MonteCarlo(
        draws=DRAWS,
        total_return=quantiles(finals),
        max_drawdown=quantiles(falls),
        loss=float(np.mean(finals < 0)),
    )


def quantiles(values: Floats) -> tuple[float, float, float]:
    """At 5, 50 and 95 %."""
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95]).tolist()
    return low, middle, high
