"""Bill Ackman: quality with discipline, room for an activist, and a price below its cash flows."""

from heliograph.reasoning.panel.company import Company
from heliograph.reasoning.panel.discount import discounted, grown
from heliograph.reasoning.panel.opinion import View
from heliograph.reasoning.panel.personas.scoring import (
    Part,
    Score,
    abstain,
    compound,
    known,
    opinion,
    part,
    share_of,
    stance,
    steps,
)

# ruff: noqa: PLR2004 - the rules' own numbers stand where they apply

GROWTH, DISCOUNT, MULTIPLE, YEARS = 0.06, 0.10, 15, 5


class Ackman:
    """Quality 7, discipline 4, activism 2, valuation 3."""

    name = "bill_ackman"
    voice = (
        "You are Bill Ackman. You want a high-quality business with lasting margins and free cash flow, "
        "financial discipline, and margins that an activist could lift, at a price well below its cash "
        "flows."
    )

    def analyse(self, company: Company) -> View:
        """Bullish from 70 % of the reachable points, bearish up to 30 %."""
        value = exit_value(company, GROWTH, DISCOUNT, MULTIPLE)
        parts = (*_quality(company), *_discipline(company), _activism(company), _valuation(company, value))
        score = Score(parts=parts)
        if score.share is None:
            return abstain(self.name, company, "no figures are known")
        return opinion(self.name, company, stance(score.share), score, score.share, intrinsic_value=value)


def _quality(company: Company) -> list[Part]:
    items, annual = company.annual_items, company.annual_metrics
    revenues = known([i.revenue for i in items])
    grew = None if len(revenues) < 2 or revenues[-1] <= 0 else revenues[0] / revenues[-1] - 1
    margins = share_of([None if m.operating_margin is None else m.operating_margin > 0.15 for m in annual])
    cash = share_of([None if i.free_cash_flow is None else i.free_cash_flow > 0 for i in items])
    equity = company.metrics[0].return_on_equity if company.metrics else None
    return [
        part("revenue over the years", steps(grew, [(0.5, 2), (0, 1)]), 2),
        part("operating margins above 15 %", steps(margins, [(0.5, 2)]), 2),
        part("free cash flow", steps(cash, [(0.5, 1)]), 1),
        part("return on equity", steps(equity, [(0.15, 2)]), 2),
    ]


def _discipline(company: Company) -> list[Part]:
    items, annual = company.annual_items, company.annual_metrics
    little = share_of([None if m.debt_to_equity is None else m.debt_to_equity < 1 for m in annual])
    paid = share_of([None if i.dividends is None else i.dividends > 0 for i in items])
    shares = known([i.shares for i in items])
    fewer = None if len(shares) < 2 else 1.0 if shares[0] < shares[-1] else 0.0
    return [
        part("little debt", steps(little, [(0.5, 2)]), 2),
        part("dividends", steps(paid, [(0.5, 1)]), 1),
        part("fewer shares", fewer, 1),
    ]


def _activism(company: Company) -> Part:
    """Revenue that grows by more than 15 % a year with an operating margin below 10 %: room to lift it."""
    growth = compound([i.revenue for i in company.annual_items])
    margin = company.metrics[0].operating_margin if company.metrics else None
    if growth is None or margin is None:
        return part("room for an activist", None, 2)
    return part("room for an activist", 2.0 if growth > 0.15 and margin < 0.10 else 0.0, 2)


def _valuation(company: Company, value: float | None) -> Part:
    cap = company.market_cap
    margin = None if value is None or not cap else value / cap - 1
    return part("margin of safety", steps(margin, [(0.3, 3), (0.1, 1)]), 3)


def exit_value(company: Company, growth: float, rate: float, multiple: float) -> float | None:
    """Five years of growing free cash flow and a sale at a multiple of the last; None where it is no gain."""
    flow = company.items[0].free_cash_flow if company.items else None
    if flow is None or flow <= 0:
        return None
    flows = grown(flow, [growth] * YEARS)
    return discounted(flows, rate, flows[-1] * multiple)
