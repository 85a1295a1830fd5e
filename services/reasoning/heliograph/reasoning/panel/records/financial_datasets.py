"""Answers of Financial Datasets (financialdatasets.ai): metrics, insider trades, news, prices."""

from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from heliograph.common.errors import InputError
from heliograph.reasoning.panel.company import InsiderTrade, Metrics, News, Prices, Tone

YEAR_END = "Q4"
QUARTER_LAG, YEAR_LAG = timedelta(days=45), timedelta(days=90)
"""The last legal day of a 10-Q and of a 10-K: answers name no day of filing, so none earlier is assumed."""
NAMES = {
    "market_cap": "market_cap",
    "enterprise_value": "enterprise_value",
    "price_to_earnings": "price_to_earnings_ratio",
    "price_to_book": "price_to_book_ratio",
    "price_to_sales": "price_to_sales_ratio",
    "ev_to_ebitda": "enterprise_value_to_ebitda_ratio",
    "free_cash_flow_yield": "free_cash_flow_yield",
    "peg": "peg_ratio",
    "gross_margin": "gross_margin",
    "operating_margin": "operating_margin",
    "net_margin": "net_margin",
    "return_on_equity": "return_on_equity",
    "return_on_invested_capital": "return_on_invested_capital",
    "asset_turnover": "asset_turnover",
    "current_ratio": "current_ratio",
    "debt_to_equity": "debt_to_equity",
    "interest_coverage": "interest_coverage",
    "revenue_growth": "revenue_growth",
    "earnings_growth": "earnings_growth",
    "book_value_growth": "book_value_growth",
    "free_cash_flow_growth": "free_cash_flow_growth",
    "earnings_per_share": "earnings_per_share",
    "book_value_per_share": "book_value_per_share",
    "free_cash_flow_per_share": "free_cash_flow_per_share",
}
"""Ours → theirs."""


class _Metrics(msgspec.Struct):
    financial_metrics: list[dict[str, Any]]


class _Trade(msgspec.Struct):
    filing_date: date
    name: str = ""
    transaction_shares: float | None = None
    transaction_price_per_share: float | None = None


class _Trades(msgspec.Struct):
    insider_trades: list[_Trade]


class _Article(msgspec.Struct):
    date: datetime
    title: str
    source: str | None = None
    sentiment: Tone | None = None


class _News(msgspec.Struct):
    news: list[_Article]


class _Bar(msgspec.Struct):
    time: str
    high: float
    low: float
    close: float
    volume: float


class _Prices(msgspec.Struct):
    prices: list[_Bar]


def metrics(payload: bytes, where: str) -> tuple[Metrics, ...]:
    """Metrics, newest first.

    Raises:
        InputError: the payload is no such answer.
    """
    rows = [_metric(row, where) for row in _decode(payload, _Metrics, where).financial_metrics]
    return tuple(sorted(rows, key=lambda m: m.end, reverse=True))


def trades(payload: bytes, where: str) -> tuple[InsiderTrade, ...]:
    """Trades for money, newest first; grants, gifts and rows without a number of shares say nothing.

    Raises:
        InputError: the payload is no such answer.
    """
    rows = _decode(payload, _Trades, where).insider_trades
    found = [
        InsiderTrade(
            filed=t.filing_date,
            name=t.name,
            shares=t.transaction_shares,
            price=t.transaction_price_per_share,
        )
        for t in rows
        if t.transaction_shares and t.transaction_price_per_share
    ]
    return tuple(sorted(found, key=lambda t: t.filed, reverse=True))


def news(payload: bytes, where: str) -> tuple[News, ...]:
    """Headlines, newest first.

    Raises:
        InputError: the payload is no such answer.
    """
    rows = _decode(payload, _News, where).news
    found = [
        News(published=a.date.date(), title=a.title, source=a.source or "", tone=a.sentiment) for a in rows
    ]
    return tuple(sorted(found, key=lambda n: n.published, reverse=True))


def prices(payload: bytes, where: str) -> Prices | None:
    """Daily bars; None where there are none.

    Raises:
        InputError: the payload is no such answer.
    """
    bars = sorted(_decode(payload, _Prices, where).prices, key=lambda bar: bar.time)
    if not bars:
        return None
    try:
        # Their time is midnight in New York, so that its date is the session's.
        days = tuple(date.fromisoformat(bar.time[:10]) for bar in bars)
    except ValueError as error:
        raise InputError(f"{where}: time: {error}, expected an ISO date") from None
    return Prices(
        days=days,
        high=tuple(bar.high for bar in bars),
        low=tuple(bar.low for bar in bars),
        close=tuple(bar.close for bar in bars),
        volume=tuple(bar.volume for bar in bars),
    )


def _metric(row: dict[str, Any], where: str) -> Metrics:
    try:
        end = date.fromisoformat(row["report_period"])
        lag = YEAR_LAG if str(row.get("fiscal_period", YEAR_END)).endswith(YEAR_END) else QUARTER_LAG
        return msgspec.convert(
            {
                "period": row["period"],
                "end": end,
                "filed": end + lag,
                **{ours: row.get(theirs) for ours, theirs in NAMES.items()},
            },
            Metrics,
        )
    except (KeyError, ValueError, msgspec.ValidationError) as error:
        raise InputError(f"{where}: {error!r}, expected metrics with `report_period` and `period`") from None


def _decode(payload: bytes, kind: Any, where: str) -> Any:
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.DecodeError as error:
        raise InputError(f"{where}: {error}, expected an answer of Financial Datasets") from None
