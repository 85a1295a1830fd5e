"""Cathie Wood: disruption and innovation, with growth that others underrate."""

from itertools import pairwise

from heliograph.reasoning.panel.company import Company, growth, ratio
from heliograph.reasoning.panel.opinion import View
from heliograph.reasoning.panel.personas.ackman import exit_value
from heliograph.reasoning.panel.personas.scoring import Part, Score, abstain, opinion, part, stance, steps

GROWTH, DISCOUNT, MULTIPLE = 0.20, 0.15, 25


class Wood:
    """Disruption 5, innovation 5, valuation 3."""

    name = "cathie_wood"
    voice = (
        "You are Cathie Wood. You look for disruptive innovation: revenue growth that accelerates, "
        "heavy research and development, widening gross margins, and a large market five years ahead."
    )

    def analyse(self, company: Company) -> View:
        """Bullish from 70 % of the reachable points, bearish up to 30 %."""
        value = exit_value(company, GROWTH, DISCOUNT, MULTIPLE)
        cap = company.market_cap
        margin = None if value is None or not cap else value / cap - 1
        valuation = part("margin of safety", steps(margin, [(0.5, 3), (0.2, 1)]), 3)
        score = Score(parts=(*_disruption(company), *_innovation(company), valuation))
        if score.share is None:
            return abstain(self.name, company, "no figures are known")
        return opinion(self.name, company, stance(score.share), score, score.share, intrinsic_value=value)


def _yearly(company: Company) -> list[float | None]:
    revenues = [i.revenue for i in company.annual_items]
    return [growth(now, before) for now, before in pairwise(revenues)]


def _disruption(company: Company) -> list[Part]:
    newest = company.metrics[0].revenue_growth if company.metrics else None
    margins = [m.gross_margin for m in company.annual_metrics]
    first, last = (margins[0], margins[-1]) if len(margins) > 1 else (None, None)
    widened = None if first is None or last is None else 1.0 if first > last else 0.0
    high = company.metrics[0].gross_margin if company.metrics else None
    return [
        part("revenue growth", steps(newest, [(1.0, 3), (0.5, 2), (0.2, 1)]), 3),
        part("gross margin widened", widened, 1),
        part("gross margin is high", steps(high, [(0.5, 1)]), 1),
    ]


def _innovation(company: Company) -> list[Part]:
    yearly = _yearly(company)
    now, before = (yearly[0], yearly[1]) if len(yearly) > 1 else (None, None)
    faster = None if now is None or before is None else 2.0 if now > before else 0.0
    newest = company.items[0] if company.items else None
    research = ratio(newest.research_and_development, newest.revenue) if newest else None
    return [
        part("growth accelerates", faster, 2),
        part("research and development", steps(research, [(0.15, 3), (0.08, 2), (0.05, 1)]), 3),
    ]
