"""Figures of a series of daily profits. Risk-free rate 0; every figure is None where it has no meaning."""

import math

import msgspec
import numpy as np

from heliograph.lab.bars import Floats

DAYS_A_YEAR = 365.25
TAIL = 0.05


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """What a portfolio did; returns and losses as fractions.

    Attributes:
        total_return: final over starting capital, minus 1.
        yearly_return: the constant yearly growth that leads there.
        sharpe: mean over standard deviation (n − 1) of daily returns, times √(days with bars a year).
        sortino: the same over the root mean square of the negative returns (over all days).
        max_drawdown: the largest fall from a peak, the starting capital included, as a fraction of it.
        calmar: yearly return over maximum drawdown.
        var_95: loss that 5 % of days reach: minus the 5 % quantile of returns; `cvar_95` their mean loss.
    """

    total_return: float
    yearly_return: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: float
    calmar: float | None
    var_95: float | None
    cvar_95: float | None


def equity_of(profit: Floats, symbols: int) -> Floats:
    """Capital at the end of each day, 1 at the start, from daily profits in stakes of 1/symbols."""
    return 1.0 + np.cumsum(profit) / max(symbols, 1)


def returns_of(equity: Floats) -> Floats:
    """Daily returns of a capital that starts at 1; shape as `equity`."""
    before = np.concatenate(([1.0], equity[:-1]))
    returns: Floats = np.divide(equity - before, before, out=np.full(len(equity), -1.0), where=before > 0.0)
    return returns


def drawdown_of(equity: Floats) -> Floats:
    """How far the capital is under its peak so far, as a fraction of the peak."""
    peak = np.maximum.accumulate(np.concatenate(([1.0], equity)))[1:]
    fall: Floats = 1.0 - equity / peak
    return fall


def performance(equity: Floats, years: float) -> Performance:
    """The figures of a capital over so many years, one value a day with bars."""
    if not len(equity):
        equity = np.ones(1)
    returns = returns_of(equity)
    scale = math.sqrt(len(equity) / years) if years > 0 else 0.0
    mean = float(returns.mean())
    spread = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    final = float(equity[-1])
    yearly = final ** (1.0 / years) - 1.0 if final > 0.0 and years > 0 else None
    worst = float(drawdown_of(equity).max())
    quantile = float(np.quantile(returns, TAIL))
    return Performance(
        total_return=final - 1.0,
        yearly_return=yearly,
        sharpe=ratio(mean * scale, spread),
        sortino=ratio(mean * scale, downside),
        max_drawdown=worst,
        calmar=None if yearly is None else ratio(yearly, worst),
        var_95=-quantile if len(returns) > 1 else None,
        cvar_95=-float(returns[returns <= quantile].mean()) if len(returns) > 1 else None,
    )


def ratio(value: float, by: float) -> float | None:
    """A quotient; None where it has no meaning."""
    return value / by if by > 1e-15 else None  # noqa: PLR2004 - rounding of a constant series
