"""How strongly a stock moves with the market."""

import numpy as np

from heliograph.reasoning.panel.company import Prices

WINDOW = 252
ENOUGH = 60


def beta(prices: Prices, market: Prices) -> float | None:
    """Covariance of daily returns with the market's ÷ the market's variance, over a year of common days.

    None with fewer than 60 returns, or where the market does not move.
    """
    own = dict(zip(prices.days, prices.close, strict=True))
    whole = dict(zip(market.days, market.close, strict=True))
    days = sorted(own.keys() & whole.keys())[-WINDOW - 1 :]
    if len(days) <= ENOUGH:
        return None
    closes = np.array([[own[day] for day in days], [whole[day] for day in days]])
    returns = closes[:, 1:] / closes[:, :-1] - 1
    covariance = np.cov(returns)
    return float(covariance[0, 1] / covariance[1, 1]) if covariance[1, 1] > 0 else None
