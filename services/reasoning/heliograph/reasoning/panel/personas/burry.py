"""Michael Burry: hard value that the crowd dislikes."""

from heliograph.reasoning.panel.company import Company, minus, ratio
from heliograph.reasoning.panel.opinion import View
from heliograph.reasoning.panel.personas.buffett import free_cash_flow_yield
from heliograph.reasoning.panel.personas.scoring import (
    Part,
    Score,
    abstain,
    at_least,
    below,
    opinion,
    part,
    stance,
)

MANY_HEADLINES = 5


class Burry:
    """Free cash flow yield 4, EV/EBIT 2, debt 2, net cash 1, insiders 2, dislike 1: twelve points."""

    name = "michael_burry"
    voice = (
        "You are Michael Burry. You hunt for deep value: free cash flow yield, a low EV/EBIT, net cash, "
        "insiders who buy, and bad press that has driven the price down. Downside first."
    )

    def analyse(self, company: Company) -> View:
        """Bullish from 70 % of the reachable points, bearish up to 30 %."""
        newest = company.metrics[0] if company.metrics else None
        items = company.items[0] if company.items else None
        multiple = ratio(newest.enterprise_value, items.operating_income) if newest and items else None
        net = minus(items.liquid, items.total_debt) if items else None
        debt = newest.debt_to_equity if newest else None
        score = Score(
            parts=(
                part(
                    "free cash flow yield",
                    at_least(free_cash_flow_yield(company), [(0.15, 4), (0.12, 3), (0.08, 2)]),
                    4,
                ),
                part("EV/EBIT", below(multiple, [(6, 2), (10, 1)]), 2),
                part("debt to equity", below(debt, [(0.5, 2), (1, 1)]), 2),
                part("net cash", None if net is None else float(net > 0), 1),
                _insiders(company),
                _dislike(company),
            )
        )
        if score.share is None:
            return abstain(self.name, company, "no figures are known")
        return opinion(self.name, company, stance(score.share), score, score.share)


def _insiders(company: Company) -> Part:
    """Net purchases 1; purchases of more than twice what was sold 2."""
    if not company.trades:
        return part("insiders buy", None, 2)
    bought = sum(t.shares for t in company.trades if t.shares > 0)
    sold = -sum(t.shares for t in company.trades if t.shares < 0)
    return part("insiders buy", 2.0 if bought > 2 * sold else 1.0 if bought > sold else 0.0, 2)


def _dislike(company: Company) -> Part:
    tones = [n.tone for n in company.news if n.tone is not None]
    return part("bad press", float(tones.count("negative") >= MANY_HEADLINES) if tones else None, 1)
