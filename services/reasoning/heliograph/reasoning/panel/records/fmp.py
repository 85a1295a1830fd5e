"""Statements of fiscal years from Financial Modeling Prep (FMP)."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec

from heliograph.common.errors import InputError
from heliograph.reasoning.panel.company import LineItems

KINDS = ("income", "balance", "cash_flow")
FILED = ("filingDate", "fillingDate")
"""The stable API's spelling, and that of version 3."""
YEAR = "FY"
NAMES = {
    "revenue": "revenue",
    "gross_profit": "grossProfit",
    "operating_income": "operatingIncome",
    "pretax_income": "incomeBeforeTax",
    "income_tax": "incomeTaxExpense",
    "net_income": "netIncome",
    "research_and_development": "researchAndDevelopmentExpenses",
    "interest_expense": "interestExpense",
    "depreciation_and_amortization": "depreciationAndAmortization",
    "operating_cash_flow": "operatingCashFlow",
    "cash": "cashAndCashEquivalents",
    "short_term_investments": "shortTermInvestments",
    "current_assets": "totalCurrentAssets",
    "current_liabilities": "totalCurrentLiabilities",
    "total_assets": "totalAssets",
    "total_liabilities": "totalLiabilities",
    "total_debt": "totalDebt",
    "equity": "totalStockholdersEquity",
    "shares": "weightedAverageShsOutDil",
}
"""Ours → theirs, of any of the three statements."""
EITHER = {
    "earnings_per_share": ("epsDiluted", "epsdiluted"),
    "dividends": ("commonDividendsPaid", "netDividendsPaid", "dividendsPaid"),
    "buybacks": ("commonStockRepurchased",),
    "share_sales": ("commonStockIssuance", "commonStockIssued"),
    "capital_expenditure": ("capitalExpenditure",),
}
"""Names that differ by version of the API."""
SPENT = ("dividends", "buybacks", "capital_expenditure")
"""Theirs are below 0, as money that leaves."""


def annual_items(payloads: Sequence[tuple[bytes, str]]) -> tuple[LineItems, ...]:
    """Line items of the fiscal years of some statements, each with its name for errors; newest first.

    A year counts as filed when the last of its statements was.

    Raises:
        InputError: a payload is no statement.
    """
    years: dict[date, dict[str, Any]] = {}
    filed: dict[date, date] = {}
    for payload, where in payloads:
        for row in _decode(payload, where):
            if row.get("period") != YEAR:
                continue
            end, day = _day(row, ("date",), where), _day(row, FILED, where)
            filed[end] = max(day, filed.get(end, day))
            years.setdefault(end, {}).update(row)
    return tuple(_items(years[end], end, filed[end]) for end in sorted(years, reverse=True))


def _decode(payload: bytes, where: str) -> list[dict[str, Any]]:
    try:
        return msgspec.json.decode(payload, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise InputError(f"{where}: {error}, expected a list of FMP's statements") from None


def _day(row: dict[str, Any], names: tuple[str, ...], where: str) -> date:
    text = next((row[name] for name in names if row.get(name)), None)
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise InputError(f"{where}: {names[0]}: {text!r}, expected an ISO date") from None


def _items(row: dict[str, Any], end: date, filed: date) -> LineItems:
    values = {ours: row.get(theirs) for ours, theirs in NAMES.items()}
    for ours, names in EITHER.items():
        value = next((row[name] for name in names if row.get(name) is not None), None)
        values[ours] = -value if ours in SPENT and value is not None else value
    try:
        return msgspec.convert({"period": "annual", "end": end, "filed": filed, **values}, LineItems)
    except msgspec.ValidationError as error:
        raise InputError(f"FMP's statement of {end}: {error}, expected numbers") from None
