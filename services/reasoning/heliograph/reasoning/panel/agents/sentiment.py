"""What insiders do and what the news say, each as a share of its own kind."""

from collections.abc import Sequence

import msgspec

from heliograph.reasoning.panel.company import Company, InsiderTrade, News
from heliograph.reasoning.panel.opinion import Abstention, Opinion, Stance, View, percent

NAME = "sentiment"
WEIGHTS = {"insider trades": 0.3, "news": 0.7}


class Shares(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of one kind of evidence speaks for, and which against; the rest is neutral."""

    bullish: float
    bearish: float
    count: int


def analyse(company: Company) -> View:
    """The weighted shares for and against, over the kinds at hand; the larger is stance and confidence."""
    kinds = {"insider trades": insider(company.trades), "news": headlines(company.news)}
    known = {name: shares for name, shares in kinds.items() if shares is not None}
    if not known:
        return Abstention(
            agent=NAME, ticker=company.ticker, reason="no insider trades and no news with a tone are known"
        )
    total = sum(WEIGHTS[name] for name in known)
    bullish = sum(WEIGHTS[name] * shares.bullish for name, shares in known.items()) / total
    bearish = sum(WEIGHTS[name] * shares.bearish for name, shares in known.items()) / total
    signal: Stance = "bullish" if bullish > bearish else "bearish" if bearish > bullish else "neutral"
    return Opinion(
        agent=NAME,
        ticker=company.ticker,
        signal=signal,
        confidence=max(bullish, bearish),
        reasoning="; ".join(
            f"{shares.count} {name}: {percent(shares.bullish)} for, {percent(shares.bearish)} against"
            for name, shares in known.items()
        ),
        facts={name: msgspec.structs.asdict(shares) for name, shares in known.items()},
    )


def insider(trades: Sequence[InsiderTrade]) -> Shares | None:
    """Purchases and sales by number of trades; None without any."""
    if not trades:
        return None
    bought = sum(trade.shares > 0 for trade in trades)
    return Shares(bullish=bought / len(trades), bearish=1 - bought / len(trades), count=len(trades))


def headlines(news: Sequence[News]) -> Shares | None:
    """Positive and negative headlines; those that nobody has judged are left out; None without any other."""
    judged = [item.tone for item in news if item.tone is not None]
    if not judged:
        return None
    return Shares(
        bullish=judged.count("positive") / len(judged),
        bearish=judged.count("negative") / len(judged),
        count=len(judged),
    )
