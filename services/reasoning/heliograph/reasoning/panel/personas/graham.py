"""Ben Graham: stable earnings, a strong balance sheet, and a price with a margin of safety."""

import math

from heliograph.reasoning.panel.company import Company, minus, ratio
from heliograph.reasoning.panel.opinion import View
from heliograph.reasoning.panel.personas.scoring import (
    Part,
    Score,
    abstain,
    at_least,
    below,
    known,
    opinion,
    part,
    share_of,
    stance,
    steps,
)

# ruff: noqa: PLR2004 - the rules' own numbers stand where they apply


class Graham:
    """Earnings stability 4, strength 5, value 7."""

    name = "ben_graham"
    voice = (
        "You are Ben Graham. You ask for earnings in every year, current assets twice the current "
        "liabilities, little debt, a dividend record, and a price below net current assets or well "
        "below the Graham number."
    )

    def analyse(self, company: Company) -> View:
        """Bullish from 70 % of the reachable points, bearish up to 30 %."""
        score = Score(parts=(*_stability(company), *_strength(company), *_value(company)))
        if score.share is None:
            return abstain(self.name, company, "no figures are known")
        return opinion(
            self.name, company, stance(score.share), score, score.share, graham_number=graham_number(company)
        )


def _stability(company: Company) -> list[Part]:
    earnings = [i.earnings_per_share for i in company.annual_items]
    positive = share_of([None if e is None else e > 0 for e in earnings], least=2)
    found = known(earnings)
    grew = None if len(found) < 2 else 1.0 if found[0] > found[-1] else 0.0
    return [
        part("earnings in every year", at_least(positive, [(1.0, 3), (0.8, 2)]), 3),
        part("earnings grew", grew, 1),
    ]


def _strength(company: Company) -> list[Part]:
    newest = company.items[0] if company.items else None
    current = ratio(newest.current_assets, newest.current_liabilities) if newest else None
    owed = ratio(newest.total_liabilities, newest.total_assets) if newest else None
    paid = share_of([None if i.dividends is None else i.dividends > 0 for i in company.annual_items])
    return [
        part("current ratio", at_least(current, [(2.0, 2), (1.5, 1)]), 2),
        part("liabilities to assets", below(owed, [(0.5, 2), (0.8, 1)]), 2),
        part("dividends", steps(paid, [(0.5, 1)]), 1),
    ]


def _value(company: Company) -> list[Part]:
    cap = company.market_cap
    newest = company.items[0] if company.items else None
    net_current = minus(newest.current_assets, newest.total_liabilities) if newest else None
    cover = ratio(net_current, cap)
    points = None if cover is None else 4.0 if cover > 1 else 2.0 if cover >= 2 / 3 else 0.0
    number, price = graham_number(company), _price(company)
    margin = None if number is None or not price else number / price - 1
    return [
        part("net current assets", points, 4),
        part("Graham number", steps(margin, [(0.5, 3), (0.2, 1)]), 3),
    ]


def graham_number(company: Company) -> float | None:
    """√(22.5 · earnings per share · book value per share); None where either is not above 0."""
    if not company.metrics:
        return None
    earnings, book = company.metrics[0].earnings_per_share, company.metrics[0].book_value_per_share
    if earnings is None or book is None or earnings <= 0 or book <= 0:
        return None
    return math.sqrt(22.5 * earnings * book)


def _price(company: Company) -> float | None:
    """The close, else what the market pays for one share."""
    if company.price is not None:
        return company.price
    return ratio(company.market_cap, company.items[0].shares) if company.items else None
