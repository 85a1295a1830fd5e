"""What was known of a company on one day: nothing filed or published later, and nothing made up."""

from datetime import date
from typing import Literal

import msgspec

from heliograph.common.errors import InvariantError

Period = Literal["ttm", "annual"]
Tone = Literal["positive", "negative", "neutral"]


class LineItems(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The statements of twelve months that end on `end`, in the company's currency; None where missing.

    Attributes:
        filed: day on which the period was first reported.
        capital_expenditure: money spent, positive; `dividends`, `buybacks`, `share_sales` likewise.
        earnings_per_share: diluted.
        shares: outstanding by the cover page next to the period's end, else diluted average.
        total_debt: interest-bearing, current and not.
    """

    period: Period
    end: date
    filed: date
    revenue: float | None = None
    gross_profit: float | None = None
    operating_income: float | None = None
    pretax_income: float | None = None
    income_tax: float | None = None
    net_income: float | None = None
    earnings_per_share: float | None = None
    research_and_development: float | None = None
    interest_expense: float | None = None
    depreciation_and_amortization: float | None = None
    operating_cash_flow: float | None = None
    capital_expenditure: float | None = None
    dividends: float | None = None
    buybacks: float | None = None
    share_sales: float | None = None
    cash: float | None = None
    short_term_investments: float | None = None
    current_assets: float | None = None
    current_liabilities: float | None = None
    total_assets: float | None = None
    total_liabilities: float | None = None
    total_debt: float | None = None
    equity: float | None = None
    shares: float | None = None

    @property
    def free_cash_flow(self) -> float | None:
        """Operating cash flow less capital expenditure."""
        return minus(self.operating_cash_flow, self.capital_expenditure)

    @property
    def ebitda(self) -> float | None:
        """Operating income and depreciation and amortisation."""
        return plus(self.operating_income, self.depreciation_and_amortization)

    @property
    def working_capital(self) -> float | None:
        """Current assets without cash, less current liabilities (Damodaran's non-cash working capital)."""
        return minus(minus(self.current_assets, self.cash), self.current_liabilities)

    @property
    def liquid(self) -> float | None:
        """Cash and what can be sold at once."""
        return (
            self.cash if self.short_term_investments is None else plus(self.cash, self.short_term_investments)
        )


class Metrics(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Ratios of twelve months; None where missing or without meaning (a P/E of a loss).

    Growth is over the year before. Shares of one: 0.15 is 15 %. `market_cap` is that of the day of analysis
    in the newest metrics, and that of the day of filing in older ones.
    """

    period: Period
    end: date
    filed: date
    market_cap: float | None = None
    enterprise_value: float | None = None
    price_to_earnings: float | None = None
    price_to_book: float | None = None
    price_to_sales: float | None = None
    ev_to_ebitda: float | None = None
    free_cash_flow_yield: float | None = None
    peg: float | None = None
    gross_margin: float | None = None
    operating_margin: float | None = None
    net_margin: float | None = None
    return_on_equity: float | None = None
    return_on_invested_capital: float | None = None
    asset_turnover: float | None = None
    current_ratio: float | None = None
    debt_to_equity: float | None = None
    interest_coverage: float | None = None
    revenue_growth: float | None = None
    earnings_growth: float | None = None
    book_value_growth: float | None = None
    free_cash_flow_growth: float | None = None
    earnings_per_share: float | None = None
    book_value_per_share: float | None = None
    free_cash_flow_per_share: float | None = None


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Daily bars by columns, oldest first, one a session; prices in quote currency, volume in units."""

    days: tuple[date, ...]
    high: tuple[float, ...]
    low: tuple[float, ...]
    close: tuple[float, ...]
    volume: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.days)

    def upto(self, day: date) -> "Prices":
        """The bars of sessions not later than a day."""
        count = sum(d <= day for d in self.days)
        return Prices(
            days=self.days[:count],
            high=self.high[:count],
            low=self.low[:count],
            close=self.close[:count],
            volume=self.volume[:count],
        )


class InsiderTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A trade by an insider in the open market: `shares` above 0 bought, below 0 sold."""

    filed: date
    name: str
    shares: float
    price: float


class News(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A headline; `tone` is None where nobody has judged it."""

    published: date
    title: str
    source: str = ""
    tone: Tone | None = None


class Company(msgspec.Struct, frozen=True, kw_only=True):
    """All that the analysts may know of one ticker on `asof`.

    Attributes:
        start: first day of the news and of the insider trades.
        metrics: of the trailing twelve months, newest first, as `annual_metrics`, `items` (trailing twelve
            months) and `annual_items`. Empty where there are none.
        prices: None where there are none that are fresh enough.
        beta: of the daily returns on those of the market; None where either is not known.
        missing: what was looked for and not found, in words.
    """

    ticker: str
    start: date
    asof: date
    metrics: tuple[Metrics, ...] = ()
    annual_metrics: tuple[Metrics, ...] = ()
    items: tuple[LineItems, ...] = ()
    annual_items: tuple[LineItems, ...] = ()
    prices: Prices | None = None
    beta: float | None = None
    trades: tuple[InsiderTrade, ...] = ()
    news: tuple[News, ...] = ()
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = [m.filed for m in (*self.metrics, *self.annual_metrics)]
        known += [i.filed for i in (*self.items, *self.annual_items)]
        known += [t.filed for t in self.trades] + [n.published for n in self.news]
        known += list(self.prices.days[-1:]) if self.prices else []
        if any(day > self.asof for day in known):
            raise InvariantError(
                f"{self.ticker}: a fact of {max(known)} at {self.asof}, expected none from later"
            )

    @property
    def market_cap(self) -> float | None:
        """Price of all shares on the day of analysis."""
        return self.metrics[0].market_cap if self.metrics else None

    @property
    def price(self) -> float | None:
        """The newest close."""
        return self.prices.close[-1] if self.prices else None


def plus(a: float | None, b: float | None) -> float | None:
    """The sum; None where either is missing."""
    return None if a is None or b is None else a + b


def minus(a: float | None, b: float | None) -> float | None:
    """The difference; None where either is missing."""
    return None if a is None or b is None else a - b


def ratio(a: float | None, b: float | None) -> float | None:
    """The quotient; None where either is missing or the divisor is not above 0."""
    return None if a is None or b is None or b <= 0 else a / b


def growth(now: float | None, before: float | None) -> float | None:
    """Relative growth; None where either is missing or the base is not above 0."""
    return None if now is None or before is None or before <= 0 else now / before - 1
