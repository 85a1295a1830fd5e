"""The votes of one source on requests of one shard: from the cache, else by models, else an abstention."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import structlog

from heliograph.common.clock import NANOSECONDS, Clock
from heliograph.common.events import Enrich
from heliograph.common.spend.usage import Usage, Use
from heliograph.reasoning.cache import ExplanationCache
from heliograph.reasoning.models.port import Answer, Models, Prompt, Refusal
from heliograph.reasoning.votes import question
from heliograph.reasoning.votes.deadline import seconds_left
from heliograph.reasoning.votes.picture import Picture, picture
from heliograph.reasoning.votes.recent import RecentBars
from heliograph.reasoning.votes.record import Record, abstention, ballot, decode, encode, serves

AT_ONCE = 8
"""Questions of a process that wait for models at once; the rest waits its turn, or its deadline."""
MARGIN_S = 0.2
"""An answer must come so long before the deadline, to be in INPUT by then."""
PLAIN = re.compile(r"[A-Z0-9./-]{1,15}")
"""Symbols that may stand in a question: whoever names one could write there."""
NEW_YORK = ZoneInfo("America/New_York")
SATURDAY = 5
OUT = frozenset({"no_key", "budget"})
Answers = dict[str, Record]

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Voter:
    """One source. `providers` are those that `models` may ask; the cache is shared by the replicas."""

    def __init__(
        self,
        source: str,
        models: Models,
        providers: Sequence[str],
        cache: ExplanationCache,
        usage: Usage,
        clock: Clock,
    ) -> None:
        self.source = source
        self.out = False
        """Whether the last question found no budget or no key: then the source gives no sign of life."""
        self.counts: dict[str, int] = {}
        """Requests by how they ended: `voted`, `cached`, or the reason of the abstention."""
        self._models = models
        self._providers = tuple(providers)
        self._cache = cache
        self._usage = usage
        self._clock = clock
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def answers(self, requests: Sequence[Enrich], bars: RecentBars) -> AsyncIterator[dict[str, Record]]:
        """Request id → its record, as they come, all of them before the deadlines; never fails for a model.

        Raises:
            UnavailableError: INPUT does not answer.
        """
        pictures: dict[str, Picture] = {}
        told: Answers = {}
        for closed_at in {request.ts for request in requests}:
            symbols = [r.symbol for r in requests if r.ts == closed_at and PLAIN.fullmatch(r.symbol)]
            for symbol, (interval, found) in (await bars.until(symbols, closed_at)).items():
                seen = picture(symbol, interval, found)
                if seen is not None:
                    pictures[symbol] = seen
        known = await self._known([r for r in requests if r.symbol in pictures], pictures)
        open_: list[Enrich] = []
        for request in requests:
            if request.symbol not in pictures:
                why = "too few bars" if PLAIN.fullmatch(request.symbol) else "symbol: not a plain one"
                told[request.id] = self._abstained(request, why)
            elif request.id in known:
                told[request.id] = self._counted(known[request.id], cached=True)
            else:
                open_.append(request)
        if told:
            yield told
        # Those that can come the furthest over the gate first: where calls are few, they are worth most.
        open_.sort(key=lambda request: (-request.bound, request.symbol))
        groups = [open_[n : n + question.AT_ONCE] for n in range(0, len(open_), question.AT_ONCE)]
        tasks = [asyncio.create_task(self._asked(group, pictures)) for group in groups]
        try:
            for answered in asyncio.as_completed(tasks):
                yield await answered
        finally:
            for task in tasks:
                task.cancel()

    async def _known(self, requests: list[Enrich], pictures: dict[str, Picture]) -> Answers:
        """The kept answers that serve, by request."""
        keys = {request.id: self._key(pictures[request.symbol]) for request in requests}
        texts = await self._cache.get(set(keys.values()))
        now = self._clock.now_ns()
        found = {}
        for request in requests:
            record = decode(texts[keys[request.id]]) if keys[request.id] in texts else None
            trading = is_trading(request.ts)
            if record and serves(record, request.ts, now, source=self.source, trading=trading):
                found[request.id] = record
        return found

    async def _asked(self, requests: list[Enrich], pictures: dict[str, Picture]) -> Answers:
        """The answers of a model about up to five instruments, or abstentions."""
        asked = [pictures[request.symbol] for request in requests]
        prompt = question.prompt(self.source, asked)
        answer = await self._within(requests, prompt)
        self.out = isinstance(answer, Refusal) and answer.reason in OUT
        if isinstance(answer, Refusal):
            await log.ainfo("no model votes", source=self.source, reason=answer.reason, detail=answer.detail)
            return {r.id: self._abstained(r, f"{answer.reason}: {answer.detail}") for r in requests}
        said = question.views(answer.text, asked)
        found: Answers = {}
        for request in requests:
            view = (said or {}).get(request.symbol)
            if view is None:
                why = "invalid: the reply is none" if said is None else "the model leaves it out"
                found[request.id] = self._abstained(request, why)
                continue
            own = msgspec.json.encode(pictures[request.symbol], order="sorted").decode()
            record = self._record(view, request, answer, own, len(requests))
            found[request.id] = self._counted(record, cached=False)
        kept = {r.id: encode(found[r.id]) for r in requests}
        voted = {self._key(pictures[r.symbol]): kept[r.id] for r in requests if found[r.id].provider}
        refused = {f"abstained:{r.id}": kept[r.id] for r in requests if not found[r.id].provider}
        await self._cache.put(voted | refused)
        return found

    async def _within(self, requests: list[Enrich], prompt: Prompt) -> Answer | Refusal:
        """The answer, if it comes before the first deadline of the requests."""
        left = min(seconds_left(request, self._clock.now_ns()) for request in requests) - MARGIN_S
        try:
            async with asyncio.timeout(max(0.0, left)), self._turn:
                return await self._models.ask(prompt)
        except TimeoutError:
            return Refusal(reason="timeout", detail="the deadline of the request")

    def _record(
        self, view: question.View, request: Enrich, answer: Answer, asked: str, together: int
    ) -> Record:
        direction, confidence = ballot(view)
        return Record(
            direction=direction,
            confidence=confidence,
            why=view.analysis,
            observed=request.ts,
            question=asked,
            together=together,
            provider=answer.provider,
            model=answer.model,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            cost=answer.cost,
            latency_s=answer.latency_s,
            at=self._clock.now_ns(),
        )

    def _key(self, asked: Picture) -> str:
        return question.key(self.source, self._providers, asked)

    def _counted(self, record: Record, *, cached: bool) -> Record:
        self._count("cached" if cached else "voted")
        use = Use(
            provider=record.provider if cached else "", purpose=question.PURPOSE, asked=1, cached=int(cached)
        )
        self._usage.add(use)
        return record

    def _abstained(self, request: Enrich, why: str) -> Record:
        self._count(why.partition(":")[0])
        return abstention(request.ts, why, self._clock.now_ns())

    def _count(self, how: str) -> None:
        self.counts[how] = self.counts.get(how, 0) + 1


def is_trading(ts: int) -> bool:
    """Whether the stock market of New York is open, holidays apart: it says how long an answer serves."""
    there = datetime.fromtimestamp(ts / NANOSECONDS, UTC).astimezone(NEW_YORK)
    return there.weekday() < SATURDAY and (9, 30) <= (there.hour, there.minute) < (16, 0)
