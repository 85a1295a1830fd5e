"""Aswath Damodaran: a story with numbers, and a value that follows from them."""

from itertools import pairwise
from statistics import median

from heliograph.reasoning.panel.company import Company, LineItems, minus
from heliograph.reasoning.panel.discount import discounted, grown, perpetuity
from heliograph.reasoning.panel.opinion import Stance, View
from heliograph.reasoning.panel.personas.scoring import (
    Part,
    Score,
    abstain,
    below,
    compound,
    known,
    opinion,
    part,
    steps,
)
from heliograph.reasoning.panel.records.ratios import tax_rate

# ruff: noqa: PLR2004 - the rules' own numbers stand where they apply

RISK_FREE, PREMIUM, MARKET_BETA = 0.04, 0.05, 1.0
"""Where the beta is not known, it is taken for the market's own."""
YEARS = 10
MOST_GROWTH, TERMINAL_GROWTH, DEFAULT_GROWTH = 0.12, 0.025, 0.04
MARGIN = 0.25


class Damodaran:
    """Growth 4, risk 3, relative value 1; the margin of safety decides."""

    name = "aswath_damodaran"
    voice = (
        "You are Aswath Damodaran. You connect the story to the numbers: growth, reinvestment and risk, "
        "a cost of equity by CAPM, free cash flow to the firm, and you buy at a margin of safety of a "
        "quarter."
    )

    def analyse(self, company: Company) -> View:
        """Bullish with a margin of safety of 25 %, bearish at −25 %."""
        score = Score(parts=(*_growth(company), *_risk(company), _relative(company)))
        value, cap = intrinsic_value(company), company.market_cap
        if score.share is None:
            return abstain(self.name, company, "no figures are known")
        if value is None or not cap:
            return abstain(self.name, company, "value or price is not known, so there is no margin of safety")
        margin = value / cap - 1
        signal: Stance = "bullish" if margin >= MARGIN else "bearish" if margin <= -MARGIN else "neutral"
        return opinion(
            self.name, company, signal, score, score.share, intrinsic_value=value, margin_of_safety=margin
        )


def _growth(company: Company) -> list[Part]:
    items = company.annual_items
    flows = known([free_cash_flow_to_firm(now, before) for now, before in pairwise(items)])
    rose = None if len(flows) < 2 else float(flows[0] > flows[-1])
    capital = company.metrics[0].return_on_invested_capital if company.metrics else None
    return [
        part("revenue growth", steps(compound([i.revenue for i in items]), [(0.08, 2), (0.03, 1)]), 2),
        part("cash flow to the firm rises", rose, 1),
        part("reinvestment pays", steps(capital, [(0.10, 1)]), 1),
    ]


def _risk(company: Company) -> list[Part]:
    newest = company.metrics[0] if company.metrics else None
    return [
        part("beta", below(company.beta, [(1.3, 1)]), 1),
        part("debt to equity", below(newest.debt_to_equity if newest else None, [(1, 1)]), 1),
        part("interest coverage", steps(newest.interest_coverage if newest else None, [(3, 1)]), 1),
    ]


def _relative(company: Company) -> Part:
    """The P/E of today below 70 % of its own median."""
    multiples = [m.price_to_earnings for m in company.metrics]
    past = known(multiples[1:])
    if not multiples or multiples[0] is None or len(past) < 3:
        return part("P/E against its own past", None, 1)
    return part("P/E against its own past", float(multiples[0] < 0.7 * median(past)), 1)


def cost_of_equity(beta: float = MARKET_BETA) -> float:
    """CAPM: 4 % + β · 5 %."""
    return RISK_FREE + beta * PREMIUM


def free_cash_flow_to_firm(now: LineItems, before: LineItems) -> float | None:
    """EBIT·(1 − tax) + depreciation − capital expenditure − growth of working capital.

    None where one is missing.
    """
    parts = (
        now.operating_income,
        now.depreciation_and_amortization,
        now.capital_expenditure,
        minus(now.working_capital, before.working_capital),
    )
    if any(p is None for p in parts):
        return None
    operating, depreciation, spent, tied = (p for p in parts if p is not None)
    return operating * (1 - tax_rate(now)) + depreciation - spent - tied


def intrinsic_value(company: Company) -> float | None:
    """Ten years of cash flow to the firm, a perpetuity at 2.5 %, less net debt; None where it is no gain.

    Growth starts with that of revenue, at most 12 %, and fades to 2.5 % in equal steps.
    """
    items = company.annual_items
    flow = free_cash_flow_to_firm(items[0], items[1]) if len(items) > 1 else None
    net_debt = minus(company.items[0].total_debt, company.items[0].liquid) if company.items else None
    if flow is None or flow <= 0 or net_debt is None:
        return None
    past = compound([i.revenue for i in items])
    first = DEFAULT_GROWTH if past is None else min(past, MOST_GROWTH)
    rates = [first + (TERMINAL_GROWTH - first) * year / (YEARS - 1) for year in range(YEARS)]
    rate = cost_of_equity(MARKET_BETA if company.beta is None else company.beta)
    if rate <= TERMINAL_GROWTH:
        return None
    flows = grown(flow, rates)
    return discounted(flows, rate, perpetuity(flows[-1], TERMINAL_GROWTH, rate)) - net_debt
