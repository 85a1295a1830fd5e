"""Peter Lynch: growth at a reasonable price."""

from heliograph.reasoning.panel.company import Company
from heliograph.reasoning.panel.opinion import View
from heliograph.reasoning.panel.personas.evidence import insider_score, news_score
from heliograph.reasoning.panel.personas.of_ten import growth_parts, of_ten
from heliograph.reasoning.panel.personas.scoring import (
    Score,
    below,
    compound,
    part,
    steps,
)


class Lynch:
    """Growth .30, PEG .25, fundamentals .20, sentiment .15, insiders .10."""

    name = "peter_lynch"
    voice = (
        "You are Peter Lynch. You like growth at a reasonable price: a PEG below 1, steady growth, "
        "little debt, and a story that can be told in two minutes. You look for ten-baggers and "
        "distrust hype."
    )

    def analyse(self, company: Company) -> View:
        """Bullish from 7.5 of 10, bearish up to 4.5."""
        return of_ten(
            self.name,
            company,
            ("growth", 0.30, growth_score(company)),
            ("PEG", 0.25, _peg(company)),
            ("fundamentals", 0.20, _fundamentals(company)),
            ("sentiment", 0.15, news_score(company)),
            ("insiders", 0.10, insider_score(company)),
        )


def growth_score(company: Company) -> Score:
    """Compound growth of revenue 3 and of earnings per share 3: above 25, 10, 2 %."""
    return Score(parts=growth_parts(company, 0.25, 0.10, 0.02))


def _peg(company: Company) -> Score:
    """P/E over growth of earnings in percent 3, and the P/E itself 2."""
    multiple = company.metrics[0].price_to_earnings if company.metrics else None
    rate = compound([i.earnings_per_share for i in company.annual_items])
    peg = None if multiple is None or rate is None or rate <= 0 else multiple / (100 * rate)
    if peg is None and company.metrics:
        peg = company.metrics[0].peg
    return Score(
        parts=(
            part("PEG", below(peg if peg is None or peg > 0 else None, [(1, 3), (2, 2), (3, 1)]), 3),
            part("P/E", below(multiple, [(15, 2), (25, 1)]), 2),
        )
    )


def _fundamentals(company: Company) -> Score:
    newest = company.metrics[0] if company.metrics else None
    flow = company.items[0].free_cash_flow if company.items else None
    return Score(
        parts=(
            part("debt to equity", below(newest.debt_to_equity if newest else None, [(0.5, 2), (1, 1)]), 2),
            part(
                "operating margin",
                steps(newest.operating_margin if newest else None, [(0.2, 2), (0.1, 1)]),
                2,
            ),
            part("free cash flow", steps(flow, [(0, 2)]), 2),
        )
    )
