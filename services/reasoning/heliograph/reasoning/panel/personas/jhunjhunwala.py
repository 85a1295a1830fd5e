"""Rakesh Jhunjhunwala: profitable growth, held for long, bought below its worth."""

from heliograph.reasoning.panel.company import Company, ratio
from heliograph.reasoning.panel.discount import discounted, grown
from heliograph.reasoning.panel.opinion import Stance, View
from heliograph.reasoning.panel.personas.scoring import (
    Part,
    Score,
    abstain,
    at_least,
    below,
    compound,
    opinion,
    part,
    rises,
    stance,
    steps,
)

MARGIN = 0.30
YEARS = 5
MOST_GROWTH, DEFAULT_GROWTH = 0.20, 0.05
QUALITIES = ((0.8, 0.12, 18), (0.6, 0.15, 15), (0.0, 0.18, 12))
"""Least share of the points, rate of discount, multiple of earnings at the end."""


class Jhunjhunwala:
    """Profit 8, growth 7, balance 4, cash 3, management 2."""

    name = "rakesh_jhunjhunwala"
    voice = (
        "You are Rakesh Jhunjhunwala. You buy profitable growth with a clean balance sheet and good "
        "managers, below its intrinsic value by a third, and you hold it for years."
    )

    def analyse(self, company: Company) -> View:
        """By a margin of safety beyond ±30 %; within it, or without one, by the quality."""
        score = Score(
            parts=(
                *_profit(company),
                *_growth(company),
                *_balance(company),
                *_cash(company),
                _management(company),
            )
        )
        if score.share is None:
            return abstain(self.name, company, "no figures are known")
        value = intrinsic_value(company, score.share)
        cap = company.market_cap
        margin = None if value is None or not cap else value / cap - 1
        signal: Stance = stance(score.share)
        if margin is not None and abs(margin) >= MARGIN:
            signal = "bullish" if margin > 0 else "bearish"
        return opinion(
            self.name, company, signal, score, score.share, intrinsic_value=value, margin_of_safety=margin
        )


def _profit(company: Company) -> list[Part]:
    newest = company.metrics[0] if company.metrics else None
    earnings = compound([i.earnings_per_share for i in company.annual_items])
    equity = newest.return_on_equity if newest else None
    return [
        part("return on equity", steps(equity, [(0.20, 3), (0.15, 2), (0.10, 1)]), 3),
        part(
            "operating margin", steps(newest.operating_margin if newest else None, [(0.20, 2), (0.15, 1)]), 2
        ),
        part("earnings per share grow", steps(earnings, [(0.20, 3), (0.15, 2), (0.10, 1)]), 3),
    ]


def _growth(company: Company) -> list[Part]:
    items = company.annual_items
    revenue = compound([i.revenue for i in items])
    income = compound([i.net_income for i in items])
    return [
        part("revenue grows", steps(revenue, [(0.20, 3), (0.15, 2), (0.10, 1)]), 3),
        part("income grows", steps(income, [(0.25, 3), (0.20, 2), (0.15, 1)]), 3),
        part("revenue grows in most years", at_least(rises([i.revenue for i in items]), [(0.8, 1)]), 1),
    ]


def _balance(company: Company) -> list[Part]:
    items = company.items[0] if company.items else None
    owed = ratio(items.total_liabilities, items.total_assets) if items else None
    current = company.metrics[0].current_ratio if company.metrics else None
    return [
        part("liabilities to assets", below(owed, [(0.5, 2), (0.7, 1)]), 2),
        part("current ratio", steps(current, [(2.0, 2), (1.5, 1)]), 2),
    ]


def _cash(company: Company) -> list[Part]:
    flow = company.items[0].free_cash_flow if company.items else None
    paid = company.annual_items[0].dividends if company.annual_items else None
    return [part("free cash flow", steps(flow, [(0, 2)]), 2), part("dividends", steps(paid, [(0, 1)]), 1)]


def _management(company: Company) -> Part:
    """Shares bought back 2, none sold 1."""
    newest = company.annual_items[0] if company.annual_items else None
    if newest is None or (newest.buybacks is None and newest.share_sales is None):
        return part("shares", None, 2)
    net = (newest.buybacks or 0.0) - (newest.share_sales or 0.0)
    return part("shares", 2.0 if net > 0 else 1.0 if net == 0 else 0.0, 2)


def intrinsic_value(company: Company, quality: float) -> float | None:
    """Five years of earnings and a multiple of the last, at 12, 15 or 18 % by quality; None without any."""
    income = company.items[0].net_income if company.items else None
    if income is None or income <= 0:
        return None
    past = compound([i.net_income for i in company.annual_items])
    rate = DEFAULT_GROWTH if past is None else min(past, MOST_GROWTH)
    _, discount, multiple = next(row for row in QUALITIES if quality >= row[0])
    flows = grown(income, [rate] * YEARS)
    return discounted(flows, discount, flows[-1] * multiple)
