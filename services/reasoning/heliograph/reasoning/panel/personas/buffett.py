"""Warren Buffett: a good business with a moat, below what its owner earnings are worth."""

from heliograph.reasoning.panel.company import Company, ratio
from heliograph.reasoning.panel.discount import discounted, grown, perpetuity
from heliograph.reasoning.panel.opinion import View
from heliograph.reasoning.panel.personas.scoring import (
    Part,
    Score,
    abstain,
    average,
    below,
    compound,
    deviation,
    opinion,
    part,
    rises,
    share_of,
    stance,
    steps,
)

# ruff: noqa: PLR2004 - the rules' own numbers stand where they apply

MOST_GROWTH, LEAST_GROWTH, DEFAULT_GROWTH = 0.08, -0.05, 0.03
TERMINAL_GROWTH, DISCOUNT, HAIRCUT = 0.025, 0.10, 0.15
STAGE_YEARS = 5
DEAR = -0.30


class Buffett:
    """Fundamentals 7, consistency 3, moat 5, management 2, pricing power 5, book growth 5."""

    name = "warren_buffett"
    voice = (
        "You are Warren Buffett. You look for a durable moat, steady earnings, high returns on equity "
        "with little debt, honest managers who buy back shares, and a price well below the value of the "
        "owner earnings."
    )

    def analyse(self, company: Company) -> View:
        """Bullish from 70 % with a margin of safety; bearish up to 30 %, or far above the value."""
        score = Score(parts=(*_fundamentals(company), *_history(company)))
        if score.share is None:
            return abstain(self.name, company, "no figures are known")
        value = intrinsic_value(company)
        margin = None if value is None or not company.market_cap else value / company.market_cap - 1
        by_score = stance(score.share)
        if margin is None and by_score != "bearish":
            return abstain(self.name, company, "value or price is not known, so there is no margin of safety")
        signal = by_score
        if margin is not None and margin < DEAR:
            signal = "bearish"
        elif by_score == "bullish" and margin is not None and margin <= 0:
            signal = "neutral"
        return opinion(
            self.name, company, signal, score, score.share, intrinsic_value=value, margin_of_safety=margin
        )


def _fundamentals(company: Company) -> list[Part]:
    if not company.metrics:
        return [part("fundamentals", None, 7)]
    m = company.metrics[0]
    return [
        part("return on equity", steps(m.return_on_equity, [(0.15, 2)]), 2),
        part("debt to equity", below(m.debt_to_equity, [(0.5, 2)]), 2),
        part("operating margin", steps(m.operating_margin, [(0.15, 2)]), 2),
        part("current ratio", steps(m.current_ratio, [(1.5, 1)]), 1),
    ]


def _history(company: Company) -> list[Part]:
    items, annual = company.annual_items, company.annual_metrics
    rising = rises([i.net_income for i in items])
    return [
        part("consistent earnings", None if rising is None or len(items) < 4 else 3 * rising, 3),
        *_moat(company),
        part("buybacks", steps(items[0].buybacks if items else None, [(0, 1)]), 1),
        part("dividends", steps(items[0].dividends if items else None, [(0, 1)]), 1),
        *_pricing_power([m.gross_margin for m in annual]),
        *_book_growth([m.book_value_per_share for m in annual]),
    ]


def _moat(company: Company) -> list[Part]:
    annual = company.annual_metrics
    returns = [m.return_on_equity for m in annual]
    margins = [m.operating_margin for m in annual]
    high = share_of([None if r is None else r > 0.15 for r in returns], least=3)
    mean, spread = average(margins), deviation(margins)
    steady = None if mean is None or spread is None else 1.0 if mean > 0 and spread / mean < 0.3 else 0.0
    turnover = annual[0].asset_turnover if annual else None
    return [
        part(
            "returns stay high",
            None if high is None else 2.0 if high >= 0.8 else 1.0 if high >= 0.6 else 0.0,
            2,
        ),
        part("operating margin on average", steps(mean, [(0.20, 1)]), 1),
        part("operating margin is steady", steady, 1),
        part("assets are used well", steps(turnover, [(1.0, 1)]), 1),
    ]


def _pricing_power(margins: list[float | None]) -> list[Part]:
    recent, older = average(margins[:2]), average(margins[2:])
    change = None if recent is None or older is None else recent - older
    widening = None
    if change is not None:
        widening = 3.0 if change > 0.02 else 2.0 if change > 0 else 1.0 if change > -0.01 else 0.0
    return [
        part("gross margin widens", widening, 3),
        part("gross margin is high", steps(average(margins), [(0.5, 2), (0.3, 1)]), 2),
    ]


def _book_growth(books: list[float | None]) -> list[Part]:
    rising = rises(books)
    level = (
        None
        if rising is None
        else 3.0
        if rising >= 0.8
        else 2.0
        if rising >= 0.6
        else 1.0
        if rising >= 0.4
        else 0.0
    )
    return [
        part("book value rises", level, 3),
        part("book value compounds", steps(compound(books), [(0.15, 2), (0.10, 1)]), 2),
    ]


def owner_earnings(company: Company) -> float | None:
    """Net income + depreciation − what keeps the business as it is − growth of working capital.

    Buffett's letter of 1986. What keeps the business as it is: capital expenditure, at most the depreciation.
    """
    if len(company.annual_items) < 2:
        return None
    now, before = company.annual_items[:2]
    parts = (now.net_income, now.depreciation_and_amortization, now.capital_expenditure)
    working = (now.working_capital, before.working_capital)
    if any(p is None for p in (*parts, *working)):
        return None
    income, depreciation, spent = (p for p in parts if p is not None)
    tied_now, tied_before = (p for p in working if p is not None)
    return income + depreciation - min(spent, depreciation) - (tied_now - tied_before)


def intrinsic_value(company: Company) -> float | None:
    """Owner earnings in three stages, discounted at 10 %, less 15 %; None where they are missing or no gain.

    Five years of past growth (at most 8 %), five of half of it, then 2.5 % for ever.
    """
    earnings = owner_earnings(company)
    if earnings is None or earnings <= 0:
        return None
    past = compound([i.net_income for i in company.annual_items])
    rate = DEFAULT_GROWTH if past is None else min(max(past, LEAST_GROWTH), MOST_GROWTH)
    flows = grown(earnings, [rate] * STAGE_YEARS + [rate / 2] * STAGE_YEARS)
    return discounted(flows, DISCOUNT, perpetuity(flows[-1], TERMINAL_GROWTH, DISCOUNT)) * (1 - HAIRCUT)


def free_cash_flow_yield(company: Company) -> float | None:
    """Free cash flow of the last twelve months over the price of all shares."""
    if company.items and company.items[0].free_cash_flow is not None:
        return ratio(company.items[0].free_cash_flow, company.market_cap)
    return company.metrics[0].free_cash_flow_yield if company.metrics else None
