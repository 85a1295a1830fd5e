"""The one record of a vote: cache, audit and debug trail at once. Pure."""

import msgspec

from heliograph.common.clock import NANOSECONDS
from heliograph.reasoning.votes.question import ABSTAIN, DIRECTIONS, View


class Lives(msgspec.Struct, frozen=True):
    """How long an answer serves, seconds: while the stock market is open, and else."""

    open_s: float
    closed_s: float


LIVES = {"models": Lives(300.0, 600.0), "research": Lives(120.0, 120.0)}


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked about one instrument and what came of it.

    Attributes:
        direction: −1, 0, +1, or `ABSTAIN`; `confidence` 0–1.
        why: the model's words, or the reason of an abstention.
        observed: event time of the newest bar that the answer rests on, UTC nanoseconds.
        question: the part of the prompt about this instrument, of a question about `together` of them.
        cost: US dollars of the whole call, as its tokens and its `latency_s`.
        at: wall time of the answer, UTC nanoseconds.
    """

    direction: int
    confidence: float
    why: str
    observed: int
    question: str = ""
    together: int = 0
    provider: str = ""
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    latency_s: float = 0.0
    at: int = 0


_decoder = msgspec.json.Decoder(Record)


def encode(record: Record) -> str:
    """The record as the cache keeps it."""
    return msgspec.json.encode(record).decode()


def decode(text: str) -> Record | None:
    """The record of a cache's text; None where it is none."""
    try:
        record = _decoder.decode(text)
    except msgspec.DecodeError:
        return None
    possible = record.direction in (*DIRECTIONS.values(), ABSTAIN) and 0.0 <= record.confidence <= 1.0
    return record if possible else None


def is_record(text: str) -> bool:
    """Whether the cache may use a text that it has found."""
    return decode(text) is not None


def abstention(observed: int, why: str, at: int) -> Record:
    """The record of a vote that there is not."""
    return Record(direction=ABSTAIN, confidence=0.0, why=why, observed=observed, at=at)


def ballot(view: View) -> tuple[int, float]:
    """The direction and the confidence of what a model says."""
    return DIRECTIONS[view.direction], view.confidence / 100


def serves(record: Record, asked_at: int, now_ns: int, *, source: str, trading: bool) -> bool:
    """Whether a kept answer serves a request about the bar that closed at `asked_at`.

    By both clocks, since a replay runs quicker than the wall's; and never one that rests on a later bar.
    """
    life = LIVES[source].open_s if trading else LIVES[source].closed_s
    ages = (asked_at - record.observed, now_ns - record.at)
    return ages[0] >= 0 and max(ages) <= life * NANOSECONDS and record.direction != ABSTAIN
