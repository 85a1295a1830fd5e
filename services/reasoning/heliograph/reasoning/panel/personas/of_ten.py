"""What personas share that weigh scores on a scale of ten: from 7.5 bullish, up to 4.5 bearish."""

from heliograph.reasoning.panel.company import Company
from heliograph.reasoning.panel.opinion import View
from heliograph.reasoning.panel.personas.scoring import (
    BEARISH_OF_TEN,
    BULLISH_OF_TEN,
    Part,
    Score,
    Weighted,
    abstain,
    compound,
    opinion,
    part,
    stance,
    steps,
)


def of_ten(agent: str, company: Company, *scores: tuple[str, float, Score]) -> View:
    """The opinion of some scores, each with its name and weight; an abstention where none can be judged."""
    score = Weighted(scores=scores)
    if score.share is None:
        return abstain(agent, company, "no figures are known")
    return opinion(agent, company, stance(score.share, BULLISH_OF_TEN, BEARISH_OF_TEN), score, score.share)


def growth_parts(company: Company, high: float, middle: float, low: float) -> tuple[Part, ...]:
    """Compound growth of revenue 3 and of earnings per share 3, by three levels a year."""
    levels = [(high, 3.0), (middle, 2.0), (low, 1.0)]
    items = company.annual_items
    return (
        part("revenue growth", steps(compound([i.revenue for i in items]), levels), 3),
        part("earnings growth", steps(compound([i.earnings_per_share for i in items]), levels), 3),
    )
