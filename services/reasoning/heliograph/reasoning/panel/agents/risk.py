"""How much of one ticker the portfolio may hold, by its volatility and its correlation with the others."""

# ruff: noqa: PLR2004 - the rules' own numbers stand where they apply

import math
from collections.abc import Mapping

import msgspec
import numpy as np

from heliograph.reasoning.panel.company import Prices
from heliograph.reasoning.panel.portfolio import Portfolio

NAME = "risk_manager"
WINDOW = 60
"""Daily returns that volatility and correlation are measured over."""
ENOUGH = 20
LEAST, MOST = 0.05, 0.25
CORRELATIONS = ((0.8, 0.70), (0.6, 0.85), (0.4, 1.00), (0.2, 1.05))
UNCORRELATED = 1.10


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """The room for one ticker.

    Attributes:
        room: money that may still be put into it, long or short.
        price: the newest close; None where not known, and then there is no room.
        volatility: of a year; `correlation` the mean with the others; None where not known.
        steps: how the limit came about, every clamp included.
    """

    ticker: str
    room: float
    price: float | None = None
    volatility: float | None = None
    correlation: float | None = None
    steps: tuple[str, ...] = ()


def limits(prices: Mapping[str, Prices | None], portfolio: Portfolio) -> dict[str, Limit]:
    """The limit of each ticker.

    Raises:
        InputError: something is held whose price is not among `prices`.
    """
    closes = {ticker: p.close[-1] for ticker, p in prices.items() if p is not None}
    worth = portfolio.net_liquidation(closes)
    known = {ticker: p for ticker, p in prices.items() if p is not None}
    return {ticker: _limit(ticker, known, portfolio, worth) for ticker in prices}


def _limit(ticker: str, known: Mapping[str, Prices], portfolio: Portfolio, worth: float) -> Limit:
    own = known.get(ticker)
    measured = None if own is None else annual_volatility(own)
    if own is None or measured is None:
        return Limit(ticker=ticker, room=0.0, steps=(f"fewer than {ENOUGH + 1} daily prices: no room",))
    base = share_by_volatility(measured)
    share = min(max(base, LEAST), MOST)
    steps = [f"volatility {measured:.3f}: {base:.4f} of net liquidation"]
    if share != base:
        steps.append(f"clamped to {share:.4f}")
    correlation = mean_correlation(own, [p for other, p in known.items() if other != ticker])
    factor = 1.0 if correlation is None else factor_by_correlation(correlation)
    steps.append(
        "correlation not known: × 1" if correlation is None else f"correlation {correlation:.2f}: × {factor}"
    )
    position = portfolio.position(ticker)
    exposure = abs(position.long - position.short) * own.close[-1]
    limit = max(worth, 0.0) * share * factor
    room = limit - exposure
    steps.append(f"limit {limit:.2f}, exposure {exposure:.2f}")
    if room < 0:
        room = 0.0
        steps.append("clamped to 0: the exposure is above the limit")
    if room > portfolio.cash:
        room = portfolio.cash
        steps.append(f"clamped to the cash {portfolio.cash:.2f}")
    return Limit(
        ticker=ticker,
        room=room,
        price=own.close[-1],
        volatility=measured,
        correlation=correlation,
        steps=tuple(steps),
    )


def share_by_volatility(volatility: float) -> float:
    """Share of net liquidation by annual volatility: 25 % when calm, falling in steps to 10 %."""
    if volatility < 0.15:
        return 0.25
    if volatility < 0.30:
        return 0.20 * (1 - (volatility - 0.15) * 0.5)
    if volatility <= 0.50:
        return 0.20 * (0.75 - (volatility - 0.30) * 0.5)
    return 0.10


def factor_by_correlation(correlation: float) -> float:
    """Less room for what moves with the rest, more for what does not."""
    return next((factor for least, factor in CORRELATIONS if correlation >= least), UNCORRELATED)


def annual_volatility(prices: Prices) -> float | None:
    """Deviation of the last 60 daily returns × √252; None with fewer than 20."""
    close = np.array(prices.close[-WINDOW - 1 :])
    if len(close) <= ENOUGH:
        return None
    return float((close[1:] / close[:-1] - 1).std(ddof=1)) * math.sqrt(252)


def mean_correlation(own: Prices, others: list[Prices]) -> float | None:
    """Mean of Pearson's correlation of daily returns with each other ticker, over the days both have."""
    found = [c for other in others if (c := _correlation(own, other)) is not None]
    return sum(found) / len(found) if found else None


def _correlation(a: Prices, b: Prices) -> float | None:
    mine, theirs = dict(zip(a.days, a.close, strict=True)), dict(zip(b.days, b.close, strict=True))
    days = sorted(mine.keys() & theirs.keys())[-WINDOW - 1 :]
    if len(days) <= ENOUGH:
        return None
    closes = np.array([[mine[day] for day in days], [theirs[day] for day in days]])
    returns = closes[:, 1:] / closes[:, :-1] - 1
    if (returns.std(axis=1) == 0).any():
        return None
    return float(np.corrcoef(returns)[0, 1])
