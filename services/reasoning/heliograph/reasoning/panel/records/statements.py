"""The line items of a company's periods, from the facts that it filed."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import lru_cache

from heliograph.reasoning.panel.company import LineItems, Period, minus
from heliograph.reasoning.panel.records import concepts
from heliograph.reasoning.panel.records.facts import Facts, Known

YEARS = 10
QUARTERS = 13
"""Eight for the median of multiples, and the year before each of them for its growth."""
COVER_WITHIN = timedelta(days=120)
"""The cover page counts the shares some weeks after the period's end."""

Flow = Callable[[Iterable[str], date], float | None]


Statements = tuple[tuple[LineItems, ...], tuple[LineItems, ...]]
KEPT = 64
"""Statements made last: many runs at once ask for the same company, on days between the same two filings."""


class _Same:
    """Facts that are equal to none but themselves: to compare thousands of rows costs more than it saves."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def __hash__(self) -> int:
        return id(self.facts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.facts is self.facts


def statements(facts: Facts, asof: date) -> Statements:
    """Line items of the trailing twelve months and of the fiscal years known on a day, newest first."""
    newest = last_filing(facts, asof)
    return ((), ()) if newest is None else _made(_Same(facts), newest)


def last_filing(facts: Facts, asof: date) -> date | None:
    """The day of the last filing up to a day; None where there is none."""
    upto = ((rows, bisect_right(rows, asof, key=lambda fact: fact.filed)) for rows in facts.values())
    return max((rows[count - 1].filed for rows, count in upto if count), default=None)


@lru_cache(maxsize=KEPT)
def _made(same: _Same, asof: date) -> Statements:
    known = Known(same.facts, asof)
    main = (*concepts.FLOWS["revenue"], *concepts.FLOWS["net_income"])
    ends = known.ends(main)
    trailing = [end for end in ends if known.trailing(main, end) is not None]
    annual = [end for end in ends if known.year(main, end) is not None]
    return (
        tuple(_items(known, end, "ttm", known.trailing) for end in trailing[:QUARTERS]),
        tuple(_items(known, end, "annual", known.year) for end in annual[:YEARS]),
    )


def _items(known: Known, end: date, period: Period, flow: Flow) -> LineItems:
    values = {name: flow(names, end) for name, names in concepts.FLOWS.items()}
    if values["gross_profit"] is None:
        values["gross_profit"] = minus(values["revenue"], flow(concepts.COST_OF_REVENUE, end))
    balance = {name: known.on(names, end) for name, names in concepts.INSTANTS.items()}
    return LineItems(
        period=period,
        end=end,
        filed=known.filed(end),
        capital_expenditure=_sum(flow(part, end) for part in concepts.CAPITAL_EXPENDITURE),
        total_debt=_debt(known, end),
        shares=_shares(known, end),
        **values,
        **balance,
    )


def _debt(known: Known, end: date) -> float | None:
    """Interest-bearing debt; None where none is reported, which need not mean that there is none."""
    long = known.on(concepts.LONG_TERM_DEBT, end)
    if long is None:
        long = _sum(known.on((name,), end) for name in concepts.LONG_TERM_DEBT_PARTS)
    short = _sum(known.on((name,), end) for name in concepts.SHORT_TERM_DEBT_PARTS)
    return _sum((long, short))


def _shares(known: Known, end: date) -> float | None:
    cover = known.after(concepts.COVER_SHARES, end, COVER_WITHIN)
    if cover is not None:
        return cover
    balance = known.on((concepts.BALANCE_SHARES,), end)
    # An average over twelve months is no sum of quarters, so only a whole year's will do.
    return balance if balance is not None else known.year(concepts.AVERAGE_SHARES, end)


def _sum(parts: Iterable[float | None]) -> float | None:
    """The sum of the parts that are reported; None without any."""
    found = [part for part in parts if part is not None]
    return sum(found) if found else None
