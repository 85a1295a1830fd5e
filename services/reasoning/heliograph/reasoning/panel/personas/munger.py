"""Charlie Munger: a wonderful business that can be foretold, at a fair price."""

from itertools import pairwise

from heliograph.reasoning.panel.company import Company, growth, ratio
from heliograph.reasoning.panel.opinion import View
from heliograph.reasoning.panel.personas.of_ten import of_ten
from heliograph.reasoning.panel.personas.scoring import (
    Score,
    at_least,
    average,
    below,
    deviation,
    known,
    part,
    rises,
    share_of,
    steps,
)

# ruff: noqa: PLR2004 - the rules' own numbers stand where they apply

FAIR_MULTIPLE = 15


class Munger:
    """Moat .35, management .25, predictability .25, valuation .15, each on a scale of ten."""

    name = "charlie_munger"
    voice = (
        "You are Charlie Munger. You want a wonderful business at a fair price: high returns on "
        "capital, pricing power, managers who use cash well, and results that can be foretold. You "
        "avoid what you cannot understand."
    )

    def analyse(self, company: Company) -> View:
        """Bullish from 7.5 of 10, bearish up to 4.5."""
        return of_ten(
            self.name,
            company,
            ("moat", 0.35, moat(company)),
            ("management", 0.25, management(company)),
            ("predictability", 0.25, predictability(company)),
            ("valuation", 0.15, valuation(company)),
        )


def moat(company: Company) -> Score:
    """Returns on capital 3, gross margin 3, little capital 2, research and intangibles 2."""
    items, annual = company.annual_items, company.annual_metrics
    high = share_of(
        [
            None if m.return_on_invested_capital is None else m.return_on_invested_capital > 0.15
            for m in annual
        ]
    )
    margins = [m.gross_margin for m in annual]
    capital = average([ratio(i.capital_expenditure, i.revenue) for i in items])
    research = ratio(items[0].research_and_development, items[0].revenue) if items else None
    return Score(
        parts=(
            part(
                "returns on capital",
                None if high is None else 3.0 if high >= 0.8 else 2.0 if high >= 0.5 else float(high > 0),
                3,
            ),
            part("gross margin rises", at_least(rises(margins), [(0.7, 2), (0.5, 1)]), 2),
            part("gross margin", steps(average(margins), [(0.3, 1)]), 1),
            part("little capital", below(capital, [(0.05, 2), (0.10, 1)]), 2),
            part("research", steps(research, [(0.05, 2), (0, 1)]), 2),
        )
    )


def management(company: Company) -> Score:
    """Cash from earnings 3, debt 3, cash at hand 2, shares 2."""
    items = company.annual_items
    conversion = average([ratio(i.free_cash_flow, i.net_income) for i in items])
    debt = company.metrics[0].debt_to_equity if company.metrics else None
    cash = ratio(items[0].cash, items[0].revenue) if items else None
    held = None if cash is None else 2.0 if 0.10 <= cash <= 0.25 else 1.0 if 0.05 <= cash <= 0.40 else 0.0
    shares = known([i.shares for i in items])
    change = None if len(shares) < 2 or shares[-1] <= 0 else shares[0] / shares[-1]
    return Score(
        parts=(
            part("cash from earnings", at_least(conversion, [(1.1, 3), (0.9, 2), (0.7, 1)]), 3),
            part("debt", below(debt, [(0.3, 3), (0.7, 2), (1.5, 1)]), 3),
            part("cash at hand", held, 2),
            part("shares", below(change, [(0.95, 2), (1.05, 1)]), 2),
        )
    )


def predictability(company: Company) -> Score:
    """Revenue 3, operating income 3, operating margin 2, free cash flow 2."""
    items, annual = company.annual_items, company.annual_metrics
    revenues = [i.revenue for i in items]
    yearly = [growth(now, before) for now, before in pairwise(revenues)]
    mean, spread = average(yearly), deviation(yearly)
    steady = None
    if mean is not None and spread is not None:
        steady = (
            3.0 if mean > 0.05 and spread < 0.1 else 2.0 if mean > 0 and spread < 0.2 else float(mean > 0)
        )
    earned = share_of([None if i.operating_income is None else i.operating_income > 0 for i in items])
    cash = share_of([None if i.free_cash_flow is None else i.free_cash_flow > 0 for i in items])
    margin = deviation([m.operating_margin for m in annual])
    return Score(
        parts=(
            part("revenue grows steadily", steady, 3),
            part("operating income in every year", at_least(earned, [(1.0, 3), (0.8, 2), (0.6, 1)]), 3),
            part("operating margin is steady", below(margin, [(0.03, 2), (0.07, 1)]), 2),
            part("free cash flow in every year", at_least(cash, [(1.0, 2), (0.8, 1)]), 2),
        )
    )


def valuation(company: Company) -> Score:
    """Yield of the usual free cash flow 4, its price against a fair multiple 3, its trend 3."""
    flows = [i.free_cash_flow for i in company.annual_items]
    usual = average(flows[:5])
    yields = ratio(usual, company.market_cap)
    upside = None if yields is None else FAIR_MULTIPLE * yields - 1
    recent, older = average(flows[:3]), average(flows[3:])
    trend = None
    if recent is not None and older is not None:
        trend = 3.0 if recent > max(older * 1.2, older) else 2.0 if recent > older else 0.0
    return Score(
        parts=(
            part("free cash flow yield", steps(yields, [(0.08, 4), (0.05, 3), (0.03, 1)]), 4),
            part("price and fair multiple", steps(upside, [(0.3, 3), (0.1, 2), (-0.1, 1)]), 3),
            part("free cash flow rises", trend, 3),
        )
    )
