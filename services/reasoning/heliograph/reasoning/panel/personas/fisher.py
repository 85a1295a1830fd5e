"""Phil Fisher: lasting growth from research, steady margins and good management."""

from heliograph.reasoning.panel.company import Company, ratio
from heliograph.reasoning.panel.opinion import View
from heliograph.reasoning.panel.personas.evidence import insider_score, news_score
from heliograph.reasoning.panel.personas.of_ten import growth_parts, of_ten
from heliograph.reasoning.panel.personas.scoring import (
    Score,
    at_least,
    below,
    deviation,
    part,
    share_of,
    steps,
)

# ruff: noqa: PLR2004 - the rules' own numbers stand where they apply


class Fisher:
    """Growth quality .30, margins .25, management .20, valuation .15, insiders and sentiment .05 each."""

    name = "phil_fisher"
    voice = (
        "You are Phil Fisher. You ask whether growth can last for many years: research that pays, "
        "margins that hold, managers of integrity, and you pay up for quality but not any price."
    )

    def analyse(self, company: Company) -> View:
        """Bullish from 7.5 of 10, bearish up to 4.5."""
        return of_ten(
            self.name,
            company,
            ("growth quality", 0.30, _growth(company)),
            ("margin stability", 0.25, _margins(company)),
            ("management", 0.20, _management(company)),
            ("valuation", 0.15, price_score(company)),
            ("insiders", 0.05, insider_score(company)),
            ("sentiment", 0.05, news_score(company)),
        )


def _growth(company: Company) -> Score:
    items = company.annual_items
    research = ratio(items[0].research_and_development, items[0].revenue) if items else None
    pays = None
    if research is not None:
        pays = 3.0 if 0.03 <= research <= 0.15 else 2.0 if research > 0.15 else float(research > 0)
    return Score(
        parts=(
            *growth_parts(company, 0.20, 0.10, 0.03),
            part("research", pays, 3),
        )
    )


def _margins(company: Company) -> Score:
    margins = [m.operating_margin for m in company.annual_metrics]
    newest, oldest = (margins[0], margins[-1]) if len(margins) > 1 else (None, None)
    held = None
    if newest is not None and oldest is not None:
        held = 2.0 if newest >= oldest > 0 else float(newest > 0)
    gross = company.annual_metrics[0].gross_margin if company.annual_metrics else None
    return Score(
        parts=(
            part("operating margin holds", held, 2),
            part("gross margin", steps(gross, [(0.5, 2), (0.3, 1)]), 2),
            part("operating margin is steady", below(deviation(margins), [(0.02, 2), (0.05, 1)]), 2),
        )
    )


def _management(company: Company) -> Score:
    newest = company.metrics[0] if company.metrics else None
    flows = [i.free_cash_flow for i in company.annual_items]
    cash = share_of([None if f is None else f > 0 for f in flows])
    equity = newest.return_on_equity if newest else None
    return Score(
        parts=(
            part("return on equity", steps(equity, [(0.20, 3), (0.10, 2), (0, 1)]), 3),
            part("debt to equity", below(newest.debt_to_equity if newest else None, [(0.3, 2), (1, 1)]), 2),
            part("free cash flow", at_least(cash, [(0.8, 1)]), 1),
        )
    )


def price_score(company: Company) -> Score:
    """P/E 2 and price to free cash flow 2: below 20, 30."""
    newest = company.metrics[0] if company.metrics else None
    flow = company.items[0].free_cash_flow if company.items else None
    return Score(
        parts=(
            part("P/E", below(newest.price_to_earnings if newest else None, [(20, 2), (30, 1)]), 2),
            part("price to free cash flow", below(ratio(company.market_cap, flow), [(20, 2), (30, 1)]), 2),
        )
    )
