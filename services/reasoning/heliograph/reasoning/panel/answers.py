"""What models have answered: cache, audit and debug trail in one record each."""

import hashlib
from collections import OrderedDict
from typing import Protocol

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from heliograph.reasoning.models.port import Answer, Prompt

PREFIX = "heliograph:v1:panel:"
DAY_S = 86_400

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A question and its answer, whole."""

    prompt: Prompt
    answer: Answer


def key_of(prompt: Prompt) -> str:
    """SHA-256 (hex) over everything that is asked, the version of the wording included."""
    return hashlib.sha256(msgspec.json.encode(prompt, order="sorted")).hexdigest()


class Answers(Protocol):
    """Where records are kept, by key. Neither method fails: what cannot be kept is asked again."""

    async def get(self, key: str) -> Record | None:
        """A record; None where there is none."""
        ...

    async def put(self, key: str, record: Record) -> None:
        """Keep a record."""
        ...


class MemoryAnswers:
    """The newest used records, in this process alone."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._records: OrderedDict[str, Record] = OrderedDict()

    async def get(self, key: str) -> Record | None:
        """A record; None where there is none."""
        record = self._records.get(key)
        if record is not None:
            self._records.move_to_end(key)
        return record

    async def put(self, key: str, record: Record) -> None:
        """Keep a record, and drop the one that was used the longest ago when there are too many."""
        self._records[key] = record
        self._records.move_to_end(key)
        while len(self._records) > self._size:
            self._records.popitem(last=False)


class RedisAnswers:
    """Records in Redis for all replicas, and in memory for this one; in memory alone while Redis is away."""

    def __init__(self, redis: Redis, memory: MemoryAnswers, ttl_s: float = 30 * DAY_S) -> None:
        self._redis = redis
        self._memory = memory
        self._ttl_s = ttl_s

    async def get(self, key: str) -> Record | None:
        """A record; None where there is none."""
        record = await self._memory.get(key)
        if record is not None:
            return record
        try:
            value = await self._redis.get(PREFIX + key)
            record = None if value is None else msgspec.json.decode(value, type=Record)
        except (RedisError, OSError, TimeoutError, msgspec.DecodeError) as error:
            await log.awarning("redis away, the panel asks again", error=repr(error))
            return None
        if record is not None:
            await self._memory.put(key, record)
        return record

    async def put(self, key: str, record: Record) -> None:
        """Keep a record."""
        await self._memory.put(key, record)
        try:
            await self._redis.set(PREFIX + key, msgspec.json.encode(record), ex=round(self._ttl_s))
        except (RedisError, OSError, TimeoutError) as error:
            await log.awarning("redis away, an answer stays in memory", error=repr(error))
