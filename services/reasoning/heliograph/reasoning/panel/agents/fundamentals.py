"""Four groups of ratios, each bullish, bearish or neutral; the majority decides."""

# ruff: noqa: PLR2004 - the rules' own numbers stand where they apply

from heliograph.reasoning.panel.company import Company, Metrics
from heliograph.reasoning.panel.opinion import Abstention, Opinion, Stance, View, percent

NAME = "fundamentals"
ENOUGH = 2
"""Ratios that must speak for a stance; a group with fewer at hand could never be bullish, and abstains."""


def analyse(company: Company) -> View:
    """The majority of profitability, growth, health and price, over the groups with two ratios at hand."""
    if not company.metrics:
        return Abstention(agent=NAME, ticker=company.ticker, reason="no ratios are known")
    groups = {
        name: stance for name, tests in checks(company.metrics[0]).items() if (stance := judge(name, tests))
    }
    if not groups:
        return Abstention(agent=NAME, ticker=company.ticker, reason="no group has two ratios at hand")
    votes = list(groups.values())
    bullish, bearish = votes.count("bullish"), votes.count("bearish")
    signal: Stance = "bullish" if bullish > bearish else "bearish" if bearish > bullish else "neutral"
    return Opinion(
        agent=NAME,
        ticker=company.ticker,
        signal=signal,
        confidence=max(bullish, bearish) / len(votes),
        reasoning="; ".join(f"{name} {stance}" for name, stance in groups.items()),
        facts={"groups": groups, "ratios": _ratios(company.metrics[0])},
    )


def checks(m: Metrics) -> dict[str, list[bool | None]]:
    """What is true of each ratio; None where it is not known. In `price`, true means dear."""
    quality = None
    if m.free_cash_flow_per_share is not None and m.earnings_per_share is not None:
        quality = m.free_cash_flow_per_share > 0.8 * m.earnings_per_share
    return {
        "profitability": [
            _above(m.return_on_equity, 0.15),
            _above(m.net_margin, 0.20),
            _above(m.operating_margin, 0.15),
        ],
        "growth": [
            _above(m.revenue_growth, 0.10),
            _above(m.earnings_growth, 0.10),
            _above(m.book_value_growth, 0.10),
        ],
        "health": [
            _above(m.current_ratio, 1.5),
            None if m.debt_to_equity is None else m.debt_to_equity < 0.5,
            quality,
        ],
        "price": [
            _above(m.price_to_earnings, 25),
            _above(m.price_to_book, 3),
            _above(m.price_to_sales, 5),
        ],
    }


def judge(name: str, tests: list[bool | None]) -> Stance | None:
    """Two true are bullish, none is bearish, the other way round for `price`; None with too few at hand."""
    known = [test for test in tests if test is not None]
    if len(known) < ENOUGH:
        return None
    true = sum(known)
    if 0 < true < ENOUGH:
        return "neutral"
    good = true >= ENOUGH
    return "bullish" if good != (name == "price") else "bearish"


def _above(value: float | None, limit: float) -> bool | None:
    return None if value is None else value > limit


def _ratios(m: Metrics) -> dict[str, str | float | None]:
    return {
        "return on equity": percent(m.return_on_equity),
        "net margin": percent(m.net_margin),
        "operating margin": percent(m.operating_margin),
        "revenue growth": percent(m.revenue_growth),
        "earnings growth": percent(m.earnings_growth),
        "book value growth": percent(m.book_value_growth),
        "current ratio": m.current_ratio,
        "debt to equity": m.debt_to_equity,
        "P/E": m.price_to_earnings,
        "P/B": m.price_to_book,
        "P/S": m.price_to_sales,
    }
