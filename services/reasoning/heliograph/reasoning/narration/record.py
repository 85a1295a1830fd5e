"""The one record of an explanation by a model: cache, audit and debug trail at once."""

import msgspec

from heliograph.reasoning.cache import is_sound


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, what came back, what it cost.

    Attributes:
        text: with placeholders, as it is used.
        question: the part of the prompt that differs from call to call, and its `version`.
        reply: as the model gave it.
        cost: US dollars; `latency_s` from the question to the reply.
        at: wall time of the reply, UTC nanoseconds.
    """

    text: str
    provider: str
    model: str
    version: int
    question: str
    reply: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float
    latency_s: float
    at: int


_decoder = msgspec.json.Decoder(Record)


def encode(record: Record) -> str:
    """The record as the cache keeps it."""
    return msgspec.json.encode(record).decode()


def decode(text: str) -> Record | None:
    """The record of a cache's text; None where it is none, or its text may not be used."""
    try:
        record = _decoder.decode(text)
    except msgspec.DecodeError:
        return None
    return record if is_sound(record.text) else None


def is_record(text: str) -> bool:
    """Whether the cache may use a text that it has found."""
    return decode(text) is not None
