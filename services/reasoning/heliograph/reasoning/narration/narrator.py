"""Explanations by models: from the cache, else asked for once over all replicas, else none."""

import asyncio

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from heliograph.common.clock import Clock, member_id
from heliograph.common.spend.usage import Usage, Use
from heliograph.reasoning.cache import ExplanationCache
from heliograph.reasoning.models.port import Answer, Models
from heliograph.reasoning.narration import narrative
from heliograph.reasoning.narration.narrative import Question
from heliograph.reasoning.narration.record import Record, decode, encode, is_record

PREFIX = "heliograph:v1:narrative:"
LOCK_PREFIX = "heliograph:v1:narrative-lock:"
LOOK_S = 0.1
REST_S = 5.0
"""So long nobody is asked after no provider had room: signals in crowds must not each wait for it."""
NO_ROOM = frozenset({"no_key", "budget", "rate", "breaker"})
MEMORY = 2_000
"""Records kept in memory at most: each is a few kilobytes."""
LOST = (RedisError, OSError, TimeoutError)
# Frees the lock only for who holds it: a late holder must not free that of the next.
UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Narrative(msgspec.Struct, frozen=True, kw_only=True):
    """An explanation by a model; `cached` where this question caused no call of its own."""

    record: Record
    cached: bool


class Narrator:
    """Explains by `models`. `deadline_s` is theirs; nothing here takes much longer."""

    def __init__(
        self,
        models: Models,
        usage: Usage,
        clock: Clock,
        redis: Redis | None,
        size: int,
        ttl_s: float,
        deadline_s: float,
    ) -> None:
        self._models = models
        self._usage = usage
        self._clock = clock
        self._redis = redis
        self._deadline_s = deadline_s
        self._cache = ExplanationCache(
            clock, redis, min(size, MEMORY), ttl_s, prefix=PREFIX, sound=is_record, name="narratives"
        )
        self._rests_until = float("-inf")
        self._flights: dict[str, asyncio.Task[Narrative | None]] = {}

    async def narrate(self, asked: Question) -> Narrative | None:
        """The explanation; None where no model gives a fit one, for whatever reason. Never fails."""
        key = narrative.key(asked)
        flight = self._flights.get(key)
        if flight is not None:
            found = await asyncio.shield(flight)
            return self._counted(found and msgspec.structs.replace(found, cached=True))
        flight = asyncio.create_task(self._found_or_made(key, asked))
        self._flights[key] = flight
        flight.add_done_callback(lambda _: self._flights.pop(key, None))
        return self._counted(await asyncio.shield(flight))

    def _counted(self, found: Narrative | None) -> Narrative | None:
        """The same, counted as a question and as one that was answered for nothing."""
        provider = found.record.provider if found is not None and found.cached else ""
        cached = int(bool(provider))
        self._usage.add(Use(provider=provider, purpose=narrative.PURPOSE, asked=1, cached=cached))
        return found

    def status(self) -> dict[str, int]:
        """Look-ups by where they were answered, and the records in memory."""
        return self._cache.status()

    async def close(self) -> None:
        """End what is under way, and leave Redis."""
        for flight in list(self._flights.values()):
            flight.cancel()
        await asyncio.gather(*self._flights.values(), return_exceptions=True)
        await self._cache.close()

    async def _found_or_made(self, key: str, asked: Question) -> Narrative | None:
        deadline = self._clock.monotonic() + self._deadline_s
        token = member_id()
        while True:
            if (known := await self._known(key)) is not None:
                return Narrative(record=known, cached=True)
            if self._clock.monotonic() < self._rests_until:
                return None
            if await self._locked(key, token):
                try:
                    return await self._made(key, asked)
                finally:
                    await self._unlock(key, token)
            # Another replica asks just now.
            if self._clock.monotonic() >= deadline:
                return None
            await asyncio.sleep(LOOK_S)

    async def _known(self, key: str) -> Record | None:
        text = (await self._cache.get([key])).get(key)
        return decode(text) if text is not None else None

    async def _made(self, key: str, asked: Question) -> Narrative | None:
        prompt = narrative.prompt(asked)
        answer = await self._models.ask(prompt)
        if not isinstance(answer, Answer):
            if answer.reason in NO_ROOM:
                rests = self._clock.monotonic() < self._rests_until
                self._rests_until = self._clock.monotonic() + REST_S
                if rests:  # others of the same crowd have said so
                    return None
            await log.ainfo("no model explains", reason=answer.reason, detail=answer.detail)
            return None
        text = narrative.text_of(answer.text, asked)
        if text is None:
            await log.awarning("reply not used", provider=answer.provider, model=answer.model)
            return None
        record = Record(
            text=text,
            provider=answer.provider,
            model=answer.model,
            version=narrative.VERSION,
            question=prompt.user,
            reply=answer.text,
            input_tokens=answer.input_tokens,
            cached_tokens=answer.cached_tokens,
            output_tokens=answer.output_tokens,
            cost=answer.cost,
            latency_s=answer.latency_s,
            at=self._clock.now_ns(),
        )
        await self._cache.put({key: encode(record)})
        return Narrative(record=record, cached=False)

    async def _locked(self, key: str, token: str) -> bool:
        """Whether this replica is to ask; without Redis each asks for itself."""
        if self._redis is None:
            return True
        lasts_ms = round((self._deadline_s + 1) * 1000)
        try:
            return bool(await self._redis.set(LOCK_PREFIX + key, token, nx=True, px=lasts_ms))
        except LOST:
            return True

    async def _unlock(self, key: str, token: str) -> None:
        if self._redis is None:
            return
        try:
            await self._redis.eval(UNLOCK, 1, LOCK_PREFIX + key, token)
        except LOST as error:
            await log.awarning("lock not freed, it lapses by itself", error=type(error).__name__)
