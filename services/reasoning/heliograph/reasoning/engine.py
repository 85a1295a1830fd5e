"""The template explanation of a signal: a function of the signal and of nothing else."""

import hashlib
from importlib import resources

import jinja2
import msgspec

from heliograph.common.events import Reason, Signal
from heliograph.common.ids import derive_id
from heliograph.reasoning.facts import Facts, fill

PROVIDER = "template"
VERSION = 1
"""Raise it when the template would give another text for the same facts."""
MODEL = f"{PROVIDER}@{VERSION}"
TEMPLATE = "templates/explanation.txt.j2"


class Explainer:
    """Renders explanations with placeholders; loads its template once."""

    def __init__(self) -> None:
        # Plain text for people, not HTML: whoever shows it escapes it.
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - as said
        source = resources.files("heliograph.reasoning").joinpath(TEMPLATE).read_text(encoding="utf-8")
        self._template = environment.from_string(source)

    def text(self, facts: Facts) -> str:
        """Two or three sentences; what is not in `facts` stands as a placeholder, see `facts.NEEDED`."""
        side = 1 if facts.action == "BUY" else -1
        rendered = self._template.render(
            action=facts.action,
            regime=facts.regime,
            calibrated=facts.calibrated,
            consensus=facts.consensus,
            agreement=facts.agreement,
            reward=facts.reward,
            voters=len(facts.votes),
            votes_for=[v for v in facts.votes if v.direction == side],
            votes_against=[v for v in facts.votes if v.direction == -side],
            votes_neutral=[v for v in facts.votes if v.direction == 0],
        )
        return " ".join(rendered.split())


def cache_key(facts: Facts) -> str:
    """The key of a text with placeholders: the version of the template and all of the facts."""
    return f"{MODEL}:{hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:32]}"


def reason_of(signal: Signal, text: str, *, cached: bool, received: int) -> Reason:
    """The reason of a signal.

    Args:
        text: with placeholders.
        cached: whether the text came from the cache.
        received: wall time, UTC nanoseconds.
    """
    return Reason(
        id=reason_id(signal),
        cause=signal.id,
        ts=signal.ts,
        received=received,
        signal=signal.id,
        symbol=signal.symbol,
        text=fill(text, signal),
        provider=PROVIDER,
        model=MODEL,
        cached=cached,
    )


def reason_id(signal: Signal) -> str:
    """The id of a signal's one reason, whoever gives it: a second delivery never makes a second reason."""
    return derive_id("reason", signal.id, MODEL)
