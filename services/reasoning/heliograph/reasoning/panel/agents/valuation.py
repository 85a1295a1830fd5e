"""Four ways to value a company, and the gap to what the market pays."""

# ruff: noqa: PLR2004 - the rules' own numbers stand where they apply

from statistics import median

from heliograph.reasoning.panel.company import Company, LineItems, Metrics, minus
from heliograph.reasoning.panel.discount import discounted, grown, perpetuity
from heliograph.reasoning.panel.opinion import Abstention, Opinion, Stance, View, percent

NAME = "valuation"
WEIGHTS = {"discounted cash flow": 0.35, "owner earnings": 0.35, "EV/EBITDA": 0.20, "residual income": 0.10}
YEARS = 5
DEFAULT_GROWTH = 0.05
TERMINAL_GROWTH = 0.03
DISCOUNT = 0.10
REQUIRED_RETURN = 0.15
MARGIN_OF_SAFETY = 0.25
MULTIPLES = 8
GAP, FULL_GAP = 0.15, 0.30


def analyse(company: Company) -> View:
    """The gap between value and market capitalisation, weighted over the methods with a value above 0."""
    cap = company.market_cap
    if cap is None or cap <= 0:
        return Abstention(agent=NAME, ticker=company.ticker, reason="the market capitalisation is not known")
    values = {name: v for name, v in appraise(company).items() if v is not None and v > 0}
    if not values:
        return Abstention(agent=NAME, ticker=company.ticker, reason="no method gives a value above 0")
    total = sum(WEIGHTS[name] for name in values)
    gap = sum(WEIGHTS[name] * (value / cap - 1) for name, value in values.items()) / total
    signal: Stance = "bullish" if gap > GAP else "bearish" if gap < -GAP else "neutral"
    return Opinion(
        agent=NAME,
        ticker=company.ticker,
        signal=signal,
        confidence=min(abs(gap) / FULL_GAP, 1.0),
        reasoning="; ".join(f"{name} {percent(value / cap - 1)}" for name, value in values.items())
        + f"; together {percent(gap)} of the market's price",
        facts={"market_cap": cap, "gap": gap, "values": values},
    )


def appraise(company: Company) -> dict[str, float | None]:
    """The equity's value by each method; None where a figure for it is missing."""
    items = company.items
    newest = company.metrics[0]
    rate = DEFAULT_GROWTH if newest.earnings_growth is None else newest.earnings_growth
    return {
        "discounted cash flow": cash_flow_value(items[0].free_cash_flow, rate) if items else None,
        "owner earnings": owner_earnings_value(owner_earnings(items), rate),
        "EV/EBITDA": multiple_value(company.metrics),
        "residual income": residual_income_value(items[0], newest.book_value_growth) if items else None,
    }


def cash_flow_value(free_cash_flow: float | None, rate: float) -> float | None:
    """Five years of growth and a perpetuity at 3 %, discounted at 10 %."""
    if free_cash_flow is None:
        return None
    flows = grown(free_cash_flow, [rate] * YEARS)
    return discounted(flows, DISCOUNT, perpetuity(flows[-1], TERMINAL_GROWTH, DISCOUNT))


def owner_earnings(items: tuple[LineItems, ...]) -> float | None:
    """Net income + depreciation − capital expenditure − growth of working capital in the last year."""
    if not items:
        return None
    now = items[0]
    before = next((i for i in items[1:] if 345 <= (now.end - i.end).days <= 385), None)
    tied = minus(now.working_capital, before.working_capital) if before else None
    parts = (now.net_income, now.depreciation_and_amortization, now.capital_expenditure, tied)
    if any(part is None for part in parts):
        return None
    income, depreciation, spent, working = (part for part in parts if part is not None)
    return income + depreciation - spent - working


def owner_earnings_value(earnings: float | None, rate: float) -> float | None:
    """Five years of growth, a perpetuity of at most 3 %, a return of 15 %, less a quarter for safety."""
    if earnings is None:
        return None
    flows = grown(earnings, [rate] * YEARS)
    terminal = perpetuity(flows[-1], min(rate, TERMINAL_GROWTH), REQUIRED_RETURN)
    return discounted(flows, REQUIRED_RETURN, terminal) * (1 - MARGIN_OF_SAFETY)


def multiple_value(metrics: tuple[Metrics, ...]) -> float | None:
    """The median of the last eight EV/EBITDA times today's EBITDA, less net debt."""
    newest = metrics[0]
    known = [m.ev_to_ebitda for m in metrics[:MULTIPLES] if m.ev_to_ebitda is not None and m.ev_to_ebitda > 0]
    if newest.enterprise_value is None or newest.market_cap is None or not newest.ev_to_ebitda or not known:
        return None
    ebitda = newest.enterprise_value / newest.ev_to_ebitda
    net_debt = newest.enterprise_value - newest.market_cap
    return median(known) * ebitda - net_debt


def residual_income_value(items: LineItems, book_growth: float | None) -> float | None:
    """Book value and what the company earns above 10 % of it, growing for five years and 3 % thereafter.

    None where it earns no more than that: then this method has nothing to add to the book.
    """
    if items.net_income is None or items.equity is None or items.equity <= 0:
        return None
    residual = items.net_income - DISCOUNT * items.equity
    if residual <= 0:
        return None
    rate = TERMINAL_GROWTH if book_growth is None else book_growth
    flows = grown(residual, [rate] * YEARS)
    return items.equity + discounted(flows, DISCOUNT, perpetuity(flows[-1], TERMINAL_GROWTH, DISCOUNT))
