"""How a persona counts points: what is not known is in neither the score nor the maximum."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import mean, pstdev
from typing import Any, Protocol

import msgspec

from heliograph.reasoning.panel.company import Company
from heliograph.reasoning.panel.opinion import SIGN, Abstention, Opinion, Stance, View

BULLISH, BEARISH = 0.70, 0.30
BULLISH_OF_TEN, BEARISH_OF_TEN = 0.75, 0.45


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is judged.

    Attributes:
        points: won; None where the figures for it are missing.
        most: what could be won.
    """

    name: str
    points: float | None
    most: float


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Parts that are judged together."""

    parts: tuple[Part, ...]

    @property
    def points(self) -> float:
        """What was won."""
        return sum(part.points for part in self.parts if part.points is not None)

    @property
    def reachable(self) -> float:
        """What could be won with the figures at hand."""
        return sum(part.most for part in self.parts if part.points is not None)

    @property
    def most(self) -> float:
        """What could be won with all figures."""
        return sum(part.most for part in self.parts)

    @property
    def share(self) -> float | None:
        """Won of reachable, 0 to 1; None where nothing can be judged."""
        return self.points / self.reachable if self.reachable > 0 else None

    @property
    def coverage(self) -> float:
        """Reachable of all, 0 to 1."""
        return self.reachable / self.most if self.most else 0.0


class Weighted(msgspec.Struct, frozen=True, kw_only=True):
    """Scores on scales of their own, each with its weight: 0 to 1 over those that can be judged."""

    scores: tuple[tuple[str, float, Score], ...]

    @property
    def share(self) -> float | None:
        """Σ weight·share ÷ Σ weight over what can be judged; None where nothing can."""
        known = [(weight, score.share) for _, weight, score in self.scores if score.share is not None]
        total = sum(weight for weight, _ in known)
        return sum(weight * share for weight, share in known if share is not None) / total if known else None

    @property
    def coverage(self) -> float:
        """Which part of the weights the figures at hand reach."""
        return sum(weight * score.coverage for _, weight, score in self.scores) / sum(
            w for _, w, _ in self.scores
        )


class Persona(Protocol):
    """An investor's way to judge a company, as rules."""

    name: str
    voice: str
    """Who is speaking and what this investor looks at: the fixed part of a prompt."""

    def analyse(self, company: Company) -> View:
        """The deterministic score, with the figures that it rests on. Pure."""
        ...


def part(name: str, points: float | None, most: float) -> Part:
    """One part of a score."""
    return Part(name=name, points=points, most=most)


def steps(value: float | None, levels: Sequence[tuple[float, float]]) -> float | None:
    """The points of the first level that a value is above; 0 below all; None for no value."""
    if value is None:
        return None
    return next((points for level, points in levels if value > level), 0.0)


def at_least(value: float | None, levels: Sequence[tuple[float, float]]) -> float | None:
    """The points of the first level that a value reaches; 0 below all; None for no value."""
    if value is None:
        return None
    return next((points for level, points in levels if value >= level), 0.0)


def below(value: float | None, levels: Sequence[tuple[float, float]]) -> float | None:
    """The points of the first level that a value is under; 0 above all; None for no value."""
    if value is None:
        return None
    return next((points for level, points in levels if value < level), 0.0)


def known(values: Sequence[float | None]) -> list[float]:
    """The values that are there, in order."""
    return [value for value in values if value is not None]


def share_of(values: Sequence[bool | None], least: int = 1) -> float | None:
    """Which share of what is known is true; None with fewer than `least` known."""
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if len(found) >= least else None


def rises(values: Sequence[float | None]) -> float | None:
    """Which share of the steps from year to year goes up, newest first; None with fewer than two."""
    found = known(values)
    if len(found) < 2:  # noqa: PLR2004 - a step has two ends
        return None
    return sum(now > before for now, before in pairwise(found)) / (len(found) - 1)


def compound(values: Sequence[float | None]) -> float | None:
    """Compound yearly growth over values newest first; None where the first or the last is not above 0."""
    if len(values) < 2 or values[0] is None:  # noqa: PLR2004 - growth has two ends
        return None
    years = max(i for i, value in enumerate(values) if value is not None)
    oldest = values[years]
    if years == 0 or oldest is None or oldest <= 0 or values[0] <= 0:
        return None
    return float((values[0] / oldest) ** (1 / years) - 1)


def average(values: Sequence[float | None]) -> float | None:
    """Mean of what is known; None without any."""
    found = known(values)
    return mean(found) if found else None


def deviation(values: Sequence[float | None]) -> float | None:
    """Deviation of what is known; None with fewer than three."""
    found = known(values)
    return pstdev(found) if len(found) >= 3 else None  # noqa: PLR2004 - two always lie evenly


def stance(share: float, bullish: float = BULLISH, bearish: float = BEARISH) -> Stance:
    """At or above the upper cut bullish, at or below the lower one bearish."""
    if share >= bullish or math.isclose(share, bullish):
        return "bullish"
    return "bearish" if share <= bearish or math.isclose(share, bearish) else "neutral"


def abstain(agent: str, company: Company, reason: str, **facts: Any) -> Abstention:
    """No view, and why."""
    return Abstention(agent=agent, ticker=company.ticker, reason=reason, facts=facts)


def opinion(
    agent: str, company: Company, signal: Stance, score: Score | Weighted, share: float, **facts: Any
) -> Opinion:
    """A persona's opinion, as sure as its figures are complete, and as its score is far to its side.

    Or as its margin of safety is wide (`margin_of_safety` among the facts) on that side, if that is more.
    """
    side = {"bullish": share, "bearish": 1 - share, "neutral": 1 - abs(2 * share - 1)}[signal]
    side = max(side, SIGN[signal] * (facts.get("margin_of_safety") or 0.0))
    return Opinion(
        agent=agent,
        ticker=company.ticker,
        signal=signal,
        confidence=min(max(side, 0.0), 1.0) * score.coverage,
        reasoning=_words(score, share),
        facts={"score": share, "coverage": score.coverage, "parts": _parts(score), **facts},
    )


def _words(score: Score | Weighted, share: float) -> str:
    if isinstance(score, Score):
        told = ", ".join(f"{p.name} {p.points:g}/{p.most:g}" for p in score.parts if p.points is not None)
        return f"{score.points:g} of {score.reachable:g} points: {told}"
    told = ", ".join(f"{name} {10 * s.share:.1f}" for name, _, s in score.scores if s.share is not None)
    return f"{10 * share:.1f} of 10: {told}"


def _parts(score: Score | Weighted) -> dict[str, Any]:
    if isinstance(score, Score):
        return {p.name: {"points": p.points, "most": p.most} for p in score.parts}
    return {name: _parts(inner) for name, _, inner in score.scores}
