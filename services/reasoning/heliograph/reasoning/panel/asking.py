"""One question to a model: from the record when it was asked before, and at most once at a time."""

import asyncio
import contextlib
from typing import TypeVar

import msgspec

from heliograph.common import metrics
from heliograph.common.errors import HeliographError
from heliograph.common.spend.usage import Usage, Use
from heliograph.reasoning.models.port import Answer, Models, Prompt, Refusal
from heliograph.reasoning.panel.answers import Answers, Record, key_of

T = TypeVar("T")


class NoAnswer(HeliographError):  # noqa: N818 - an outcome that the caller turns into a mark, not a fault
    """The model gives none; `str()` says why. `answer` is one that was paid for and is of no use."""

    def __init__(self, why: str, answer: Answer | None = None) -> None:
        super().__init__(why)
        self.answer = answer


Pending = dict[str, asyncio.Task[Record]]
"""Questions that are being asked, by key."""


class Asking:
    """Models with a memory. Questions that are asked at the same time become one.

    Args:
        pending: the questions that others who share it are asking right now.
        usage: where questions are counted.
    """

    def __init__(
        self,
        models: Models,
        answers: Answers,
        timeout_s: float,
        pending: Pending | None = None,
        usage: Usage | None = None,
    ) -> None:
        self._models = models
        self._answers = answers
        self._timeout_s = timeout_s
        self._pending: Pending = {} if pending is None else pending
        self._usage = usage
        self.calls = 0
        """Questions that went to a model."""
        self.cost = 0.0
        """US dollars that their answers cost."""

    async def ask(self, prompt: Prompt, kind: type[T]) -> tuple[T, Answer]:
        """What an answer says, and the answer: `cached` where another question has paid for it.

        Raises:
            NoAnswer: it was refused, took too long, or is none of the kind.
        """
        key = key_of(prompt)
        known = await self._answers.get(key)
        metrics.CACHE.labels("panel", "miss" if known is None else "hit").inc()
        self._count(prompt, known)
        under_way = key in self._pending
        record = known or await self._shared(key, prompt, kind)
        answer = msgspec.structs.replace(record.answer, cached=known is not None or under_way)
        try:
            return msgspec.json.decode(answer.text.encode(), type=kind), answer
        except msgspec.DecodeError as error:
            raise NoAnswer(f"invalid: {error}", answer) from None

    def _count(self, prompt: Prompt, known: Record | None) -> None:
        if self._usage is not None:
            provider = known.answer.provider if known else ""
            self._usage.add(
                Use(provider=provider, purpose=prompt.purpose, asked=1, cached=int(known is not None))
            )

    async def _shared(self, key: str, prompt: Prompt, kind: type[T]) -> Record:
        task = self._pending.get(key)
        if task is None:
            task = asyncio.create_task(self._call(key, prompt, kind))
            self._pending[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        # One caller that gives up must not take the answer from the others.
        return await asyncio.shield(task)

    def _ended(self, key: str, task: asyncio.Task[Record]) -> None:
        self._pending.pop(key, None)
        if not task.cancelled():
            task.exception()  # told to those who wait for it, if there are any left

    async def _call(self, key: str, prompt: Prompt, kind: type[T]) -> Record:
        self.calls += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._models.ask(prompt)
        except TimeoutError:
            raise NoAnswer(f"timeout: none within {self._timeout_s:g} s") from None
        if isinstance(answer, Refusal):
            raise NoAnswer(f"{answer.reason}: {answer.detail}")
        self.cost += answer.cost
        record = Record(prompt=prompt, answer=answer)
        with contextlib.suppress(msgspec.DecodeError):
            msgspec.json.decode(answer.text.encode(), type=kind)
            # Before the question leaves those under way: whoever asks next finds it in one of both places.
            await self._answers.put(key, record)
        return record
