"""What an agent says of a ticker, or why it says nothing."""

from typing import Any, Literal

import msgspec

Stance = Literal["bullish", "bearish", "neutral"]
SIGN: dict[Stance, int] = {"bullish": 1, "neutral": 0, "bearish": -1}


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's view of one ticker.

    Attributes:
        confidence: 0–1.
        facts: the figures that it rests on, as JSON values.
        by: `rules`, or the provider whose model said it.
        note: why a model did not say it, where one was asked.
    """

    agent: str
    ticker: str
    signal: Stance
    confidence: float
    reasoning: str
    facts: dict[str, Any] = {}
    by: str = "rules"
    note: str = ""

    @property
    def sign(self) -> int:
        """−1, 0, +1."""
        return SIGN[self.signal]


class Abstention(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that has no view: outside every mean and every denominator, unlike a neutral one.

    Attributes:
        failed: for a fault, and not for want of data.
    """

    agent: str
    ticker: str
    reason: str
    facts: dict[str, Any] = {}
    failed: bool = False


View = Opinion | Abstention


def ending(view: View) -> Literal["done", "by_rules", "abstained", "failed"]:
    """How an agent ended: `by_rules` where it should have spoken by a model."""
    if isinstance(view, Abstention):
        return "failed" if view.failed else "abstained"
    return "by_rules" if view.note else "done"


def percent(value: float | None, digits: int = 0) -> str:
    """A share of one for a reader: `12 %`, or `unknown`."""
    return "unknown" if value is None else f"{value * 100:.{digits}f} %"
