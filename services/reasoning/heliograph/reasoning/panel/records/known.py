"""All that is on record of a ticker, and the company that it makes on one day."""

from bisect import bisect_right
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Protocol

import msgspec

from heliograph.reasoning.panel.company import (
    Company,
    InsiderTrade,
    LineItems,
    Metrics,
    News,
    Prices,
)
from heliograph.reasoning.panel.records.beta import beta
from heliograph.reasoning.panel.records.facts import Facts
from heliograph.reasoning.panel.records.ratios import metrics
from heliograph.reasoning.panel.records.statements import statements

PRICE_AGE = timedelta(days=7)
"""Older closes say nothing of the day: a market is never shut for longer than some days."""
REPORT_AGE = timedelta(days=550)
"""A year, and the half that the slowest companies take to report it."""


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """What sources hold of a ticker, of all times; an empty part does not exist there.

    Attributes:
        facts: as filed with the SEC.
        metrics: as a provider computed them, newest first, used where there are no statements.
        annual_items: statements of fiscal years from a provider, newest first, used where there are no facts.
        withheld: a source may not be asked now, for want of money or calls: it may have more.
    """

    facts: Facts = msgspec.field(default_factory=dict)
    metrics: tuple[Metrics, ...] = ()
    annual_items: tuple[LineItems, ...] = ()
    prices: Prices | None = None
    trades: tuple[InsiderTrade, ...] = ()
    news: tuple[News, ...] = ()
    withheld: bool = False

    @property
    def newest(self) -> date | None:
        """Day of the newest record of any kind."""
        days = [fact.filed for facts in self.facts.values() for fact in facts[-1:]]
        days += [m.filed for m in self.metrics[:1]] + [i.filed for i in self.annual_items[:1]]
        days += list(self.prices.days[-1:]) if self.prices else []
        days += [t.filed for t in self.trades] + [n.published for n in self.news]
        return max(days, default=None)

    def over(self, other: "Records") -> "Records":
        """These records, and the parts of another source's that are not here."""
        return Records(
            **{name: getattr(self, name) or getattr(other, name) for name in self.__struct_fields__}
        )


class Source(Protocol):
    """Where records come from: a folder, the SEC's site, a provider."""

    async def records(self, ticker: str) -> Records:
        """All that it has of a ticker; empty where it has nothing.

        Raises:
            InputError: what is there cannot be read.
            UnavailableError: it does not answer.
        """
        ...


def company(ticker: str, records: Records, start: date, asof: date, market: Prices | None = None) -> Company:
    """What was known of a ticker on a day: selected by the day of filing, never later. Pure.

    `market` are the bars of the whole market, for the beta.
    """
    prices = records.prices.upto(asof) if records.prices else None
    fresh = _fresh(prices, asof)
    index = _fresh(market.upto(asof) if market else None, asof)
    items, annual = statements(records.facts, asof)
    if not annual:
        annual = tuple(i for i in records.annual_items if i.filed <= asof)
    items = items or annual
    given = tuple(m for m in records.metrics if m.filed <= asof)
    if items and asof - items[0].end > REPORT_AGE:
        items, annual = (), ()
    if given and asof - given[0].end > REPORT_AGE:
        given = ()
    cap = _Caps(prices, fresh, items[0].shares if items else None)
    made = metrics(items, cap)
    found = Company(
        ticker=ticker,
        start=start,
        asof=asof,
        metrics=given if given and not (made and fresh) else made,
        annual_metrics=metrics(annual, cap),
        items=items,
        annual_items=annual,
        prices=fresh,
        beta=beta(fresh, index) if fresh and index else None,
        trades=tuple(t for t in records.trades if start <= t.filed <= asof),
        news=tuple(n for n in records.news if start <= n.published <= asof),
    )
    return msgspec.structs.replace(found, missing=_missing(found, prices))


def _fresh(prices: Prices | None, asof: date) -> Prices | None:
    """The bars, if the newest is of these days."""
    return prices if prices and prices.days and asof - prices.days[-1] <= PRICE_AGE else None


class _Caps:
    """Close × shares: for the newest period that of the day of analysis, for others that of their filing."""

    def __init__(self, prices: Prices | None, fresh: Prices | None, shares: float | None) -> None:
        self._prices = prices
        self._fresh = fresh
        self._shares = shares

    def __call__(self, items: LineItems, newest: bool) -> float | None:  # noqa: FBT001 - the callable's shape
        if newest:
            return None if self._fresh is None or not self._shares else self._fresh.close[-1] * self._shares
        if self._prices is None or not items.shares:
            return None
        at = bisect_right(self._prices.days, items.filed) - 1
        if at < 0 or items.filed - self._prices.days[at] > PRICE_AGE:
            return None
        return self._prices.close[at] * items.shares


def _missing(found: Company, prices: Prices | None) -> tuple[str, ...]:
    stale = f" since {prices.days[-1]}" if prices and prices.days else ""
    absent: Mapping[str, bool] = {
        "statements": not found.items,
        "ratios": not found.metrics,
        f"prices{stale}": found.prices is None,
        "market capitalisation": found.market_cap is None,
        "insider trades": not found.trades,
        "news": not found.news,
    }
    return tuple(name for name, lacks in absent.items() if lacks)
