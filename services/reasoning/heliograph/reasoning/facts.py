"""What the explanation of a signal rests on, coarse enough to be shared by signals that read alike. Pure."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InvariantError
from heliograph.common.events import Action, Regime, Signal, Vote

HOUR_NS = 3600 * NANOSECONDS
DAY_NS = 24 * HOUR_NS
BAND = 5
STRENGTHS = ("strong", "fair", "weak")
STRONG, FAIR = 0.8, 0.65
_NOT_NAME = re.compile(r"[^A-Za-z0-9 _-]+")
_PLACEHOLDER = re.compile(r"\{(symbol|entry|stop|target|reward_risk|confidence|lifetime)\}")
NEEDED = ("{symbol}", "{entry}", "{stop}", "{target}", "{reward_risk}", "{confidence}", "{lifetime}")
"""Placeholders that every explanation holds: what differs between two signals with the same facts."""


class VoteFact(msgspec.Struct, frozen=True, kw_only=True):
    """One vote: which way (−1, 0, +1), and how strongly."""

    source: str
    direction: int
    strength: Literal["strong", "fair", "weak"]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that the text of an explanation may depend on; the key of the cache is made of all of it.

    Attributes:
        confidence_band: lower end of the five points that the confidence lies in.
        calibrated: whether the confidence is a calibrated probability.
        consensus: how strong the raw consensus is, in words.
        votes: the strongest first, then by source.
        agreement: share of the voting weight on the signal's side.
        reward: the reward against the risk: under 1, under 1.5, or more.
    """

    symbol: str
    action: Action
    confidence_band: int
    regime: Regime
    calibrated: bool
    consensus: Literal["a very strong", "a strong", "a solid", "a moderate"]
    votes: tuple[VoteFact, ...]
    agreement: Literal["all", "most", "half", "less"]
    reward: Literal["thin", "even", "good"]


def facts_of(signal: Signal) -> Facts:
    """The facts of a signal."""
    ratio = reward_risk(signal)
    return Facts(
        symbol=signal.symbol,
        action=signal.action,
        confidence_band=int(signal.confidence // BAND * BAND),
        regime=signal.regime,
        calibrated=signal.calibration != "none",
        consensus=consensus(signal.raw_confidence),
        votes=vote_facts(signal.votes),
        agreement=agreement(signal.agreement),
        reward="thin" if ratio < 1.0 else "even" if ratio < 1.5 else "good",  # noqa: PLR2004 - said in Facts
    )


def consensus(raw: float) -> Literal["a very strong", "a strong", "a solid", "a moderate"]:
    """The raw confidence (0–100) in words."""
    steps: tuple[tuple[float, Literal["a very strong", "a strong", "a solid"]], ...] = (
        (90, "a very strong"),
        (80, "a strong"),
        (70, "a solid"),
    )
    return next((words for least, words in steps if raw >= least), "a moderate")


def agreement(share: float) -> Literal["all", "most", "half", "less"]:
    """A share of the voting weight (0–1) in words."""
    steps: tuple[tuple[float, Literal["all", "most", "half"]], ...] = (
        (0.995, "all"),
        (0.75, "most"),
        (0.5, "half"),
    )
    return next((words for least, words in steps if share >= least), "less")


def vote_facts(votes: Sequence[Vote]) -> tuple[VoteFact, ...]:
    """The votes, the strongest first; a source's name keeps only plain characters: it stands in the text."""
    found = [
        VoteFact(
            source=_NOT_NAME.sub("", vote.source).strip() or "unnamed",
            direction=(vote.direction > 0) - (vote.direction < 0),
            strength="strong" if vote.confidence >= STRONG else "fair" if vote.confidence >= FAIR else "weak",
        )
        for vote in votes
    ]
    return tuple(
        sorted(found, key=lambda fact: (STRENGTHS.index(fact.strength), fact.source, fact.direction))
    )


def reward_risk(signal: Signal) -> float:
    """The way to the target in units of the way to the stop."""
    return abs(signal.target - signal.entry) / abs(signal.entry - signal.stop)


def price_text(price: float) -> str:
    """A price with all its digits, at least two of them decimals, without an exponent."""
    text = format(Decimal(repr(price)), "f")
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals:0<2}"


def lifetime_text(length_ns: int) -> str:
    """A length of time in days, or in hours where it is under two days."""
    unit, name = (DAY_NS, "day") if length_ns >= 2 * DAY_NS else (HOUR_NS, "hour")
    count = max(0, round(length_ns / unit))
    return f"{count} {name}{'' if count == 1 else 's'}"


def fill(text: str, signal: Signal) -> str:
    """An explanation with a signal's own name, prices and figures in the placeholders.

    Raises:
        InvariantError: a placeholder is missing: the text could not speak of this signal.
    """
    missing = [p for p in NEEDED if p not in text]
    if missing:
        raise InvariantError(f"explanation without {', '.join(missing)}: {text!r}")
    values = {
        "symbol": signal.symbol,
        "entry": price_text(signal.entry),
        "stop": price_text(signal.stop),
        "target": price_text(signal.target),
        "reward_risk": f"{reward_risk(signal):.1f}",
        "confidence": f"{signal.confidence:g}",
        "lifetime": lifetime_text(signal.expires - signal.ts),
    }
    # One pass, so that a symbol that looks like a placeholder is never filled itself.
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)
