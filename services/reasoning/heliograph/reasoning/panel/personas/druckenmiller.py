"""Stanley Druckenmiller: growth and momentum where the risk is worth it."""

import numpy as np

from heliograph.reasoning.panel.company import Company, Prices, ratio
from heliograph.reasoning.panel.opinion import View
from heliograph.reasoning.panel.personas.evidence import insider_score, news_score
from heliograph.reasoning.panel.personas.of_ten import growth_parts, of_ten
from heliograph.reasoning.panel.personas.scoring import (
    Score,
    below,
    part,
    steps,
)

YEAR_BARS = 252
MOMENTUM_BARS = 126


class Druckenmiller:
    """Growth and momentum .35, risk-reward .20, valuation .20, sentiment .15, insiders .10."""

    name = "stanley_druckenmiller"
    voice = (
        "You are Stanley Druckenmiller. You bet on growth with price momentum where the reward is a "
        "multiple of the risk, you cut what does not work, and you let winners run."
    )

    def analyse(self, company: Company) -> View:
        """Bullish from 7.5 of 10, bearish up to 4.5."""
        return of_ten(
            self.name,
            company,
            ("growth and momentum", 0.35, _growth(company)),
            ("risk-reward", 0.20, _risk(company)),
            ("valuation", 0.20, _valuation(company)),
            ("sentiment", 0.15, news_score(company)),
            ("insiders", 0.10, insider_score(company)),
        )


def _growth(company: Company) -> Score:
    moved = _moved(company.prices)
    return Score(
        parts=(
            *growth_parts(company, 0.08, 0.04, 0.01),
            part("momentum", steps(moved, [(0.5, 3), (0.2, 2), (0, 1)]), 3),
        )
    )


def _moved(prices: Prices | None) -> float | None:
    """Change over a year, or over what there is of it; None with less than half a year."""
    if prices is None or len(prices) < MOMENTUM_BARS:
        return None
    return prices.close[-1] / prices.close[-min(len(prices), YEAR_BARS + 1)] - 1


def _risk(company: Company) -> Score:
    debt = company.metrics[0].debt_to_equity if company.metrics else None
    swing = None
    if company.prices is not None and len(company.prices) >= MOMENTUM_BARS:
        close = np.array(company.prices.close[-YEAR_BARS - 1 :])
        swing = float((close[1:] / close[:-1] - 1).std(ddof=1))
    return Score(
        parts=(
            part("debt to equity", below(debt, [(0.3, 3), (0.7, 2), (1.5, 1)]), 3),
            part("daily swing", below(swing, [(0.01, 3), (0.02, 2), (0.04, 1)]), 3),
        )
    )


def _valuation(company: Company) -> Score:
    newest = company.metrics[0] if company.metrics else None
    items = company.items[0] if company.items else None
    value = newest.enterprise_value if newest else None
    return Score(
        parts=(
            part("P/E", below(newest.price_to_earnings if newest else None, [(15, 2), (25, 1)]), 2),
            part(
                "price to free cash flow",
                below(ratio(company.market_cap, items.free_cash_flow if items else None), [(15, 2), (25, 1)]),
                2,
            ),
            part(
                "EV/EBIT",
                below(ratio(value, items.operating_income if items else None), [(15, 2), (25, 1)]),
                2,
            ),
            part("EV/EBITDA", below(newest.ev_to_ebitda if newest else None, [(10, 2), (18, 1)]), 2),
        )
    )
