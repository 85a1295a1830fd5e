"""Ratios from line items and the price of all shares."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from heliograph.reasoning.panel.company import LineItems, Metrics, growth, minus, plus, ratio

YEAR = timedelta(days=365)
SLACK = timedelta(days=20)
TAX = 0.21
"""The US statutory rate, where the statements show none."""
PERCENT = 100

MarketCap = Callable[[LineItems, bool], float | None]
"""The price of all shares for a period; the flag says that it is the newest one."""


def metrics(items: Sequence[LineItems], market_cap: MarketCap) -> tuple[Metrics, ...]:
    """The ratios of each period, newest first as the items are."""
    return tuple(
        _metrics(now, year_before(items, now.end), market_cap(now, now is items[0])) for now in items
    )


def year_before(items: Sequence[LineItems], end: date) -> LineItems | None:
    """The period that ends a year before a day."""
    return next((i for i in items if abs(i.end - (end - YEAR)) <= SLACK), None)


def tax_rate(items: LineItems) -> float:
    """Income tax over income before tax, 0 to 1; the statutory rate where there is no such income."""
    rate = ratio(items.income_tax, items.pretax_income)
    return TAX if rate is None else min(max(rate, 0.0), 1.0)


def _metrics(now: LineItems, before: LineItems | None, cap: float | None) -> Metrics:
    past = before or LineItems(period=now.period, end=now.end, filed=now.filed)
    value = minus(plus(cap, now.total_debt), now.liquid)
    after_tax = None if now.operating_income is None else now.operating_income * (1 - tax_rate(now))
    earnings = ratio(cap, now.net_income)
    earnings_growth = growth(now.net_income, past.net_income)
    return Metrics(
        period=now.period,
        end=now.end,
        filed=now.filed,
        market_cap=cap,
        enterprise_value=value,
        price_to_earnings=earnings,
        price_to_book=ratio(cap, now.equity),
        price_to_sales=ratio(cap, now.revenue),
        ev_to_ebitda=ratio(value, now.ebitda),
        free_cash_flow_yield=ratio(now.free_cash_flow, cap),
        peg=ratio(earnings, None if earnings_growth is None else earnings_growth * PERCENT),
        gross_margin=ratio(now.gross_profit, now.revenue),
        operating_margin=ratio(now.operating_income, now.revenue),
        net_margin=ratio(now.net_income, now.revenue),
        return_on_equity=ratio(now.net_income, now.equity),
        return_on_invested_capital=ratio(after_tax, minus(plus(now.equity, now.total_debt), now.cash)),
        asset_turnover=ratio(now.revenue, now.total_assets),
        current_ratio=ratio(now.current_assets, now.current_liabilities),
        debt_to_equity=ratio(now.total_debt, now.equity),
        interest_coverage=ratio(now.operating_income, now.interest_expense),
        revenue_growth=growth(now.revenue, past.revenue),
        earnings_growth=earnings_growth,
        book_value_growth=growth(now.equity, past.equity),
        free_cash_flow_growth=growth(now.free_cash_flow, past.free_cash_flow),
        earnings_per_share=now.earnings_per_share,
        book_value_per_share=ratio(now.equity, now.shares),
        free_cash_flow_per_share=ratio(now.free_cash_flow, now.shares),
    )
