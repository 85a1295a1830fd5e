"""What several personas look at in the same way: insiders and headlines."""

from heliograph.reasoning.panel.agents.sentiment import headlines, insider
from heliograph.reasoning.panel.company import Company
from heliograph.reasoning.panel.personas.scoring import Score, part

MANY_NEGATIVE = 0.30


def insider_score(company: Company) -> Score:
    """Purchases among the insiders' trades: above 70 % 8 of 10, above 40 % 6, else 4."""
    shares = insider(company.trades)
    points = None if shares is None else 8.0 if shares.bullish > 0.7 else 6.0 if shares.bullish > 0.4 else 4.0  # noqa: PLR2004
    return Score(parts=(part("insiders buy", points, 10),))


def news_score(company: Company) -> Score:
    """Headlines: above 30 % negative 3 of 10, any negative 6, none 8."""
    shares = headlines(company.news)
    points = None
    if shares is not None:
        points = 3.0 if shares.bearish > MANY_NEGATIVE else 6.0 if shares.bearish > 0 else 8.0
    return Score(parts=(part("headlines", points, 10),))
