"""What passed between an agent and its model, and what it cost."""

from collections.abc import Iterable

import msgspec

from heliograph.reasoning.models.port import Answer


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A question and its answer with its bill; all of it empty where no model was asked.

    Attributes:
        prompt: the whole question; `answer` the whole reply, empty where there was none.
        provider: whose `model` answered.
        tokens_in: as the provider counted them, `tokens_out` likewise; 0 of a cached answer.
        cost: US dollars; 0 of a cached answer.
        cached: it was made for another question of the same words, which has paid for it.
    """

    prompt: str = ""
    answer: str = ""
    provider: str = ""
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    cached: bool = False


NOTHING = Said()


def said(prompt: str, answer: Answer | None) -> Said:
    """What an agent and its model said to each other, as one who has just been answered knows it."""
    if answer is None:
        return Said(prompt=prompt)
    paid = not answer.cached
    return Said(
        prompt=prompt,
        answer=answer.text,
        provider=answer.provider,
        model=answer.model,
        tokens_in=answer.input_tokens if paid else 0,
        tokens_out=answer.output_tokens if paid else 0,
        cost=answer.cost if paid else 0.0,
        cached=answer.cached,
    )


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What several agents' models cost together: `answers`, of which `cached` cost nothing; US dollars."""

    answers: int
    cached: int
    tokens_in: int
    tokens_out: int
    cost: float


def bill(all_said: Iterable[Said]) -> Bill:
    """The sum over some agents."""
    answered = [one for one in all_said if one.answer]
    return Bill(
        answers=len(answered),
        cached=sum(one.cached for one in answered),
        tokens_in=sum(one.tokens_in for one in answered),
        tokens_out=sum(one.tokens_out for one in answered),
        cost=sum(one.cost for one in answered),
    )
