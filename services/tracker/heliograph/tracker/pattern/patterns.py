"""The pattern search of a replica: loaded from the record, fed as outcomes come, asked on the bus."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, TypeVar

import msgspec

from heliograph.common.bus import Bus
from heliograph.common.errors import InputError
from heliograph.common.patterns import Features, PatternCase, check_features
from heliograph.tracker.database import Connection, Database
from heliograph.tracker.looking import Looking
from heliograph.tracker.pattern import store
from heliograph.tracker.pattern.expectation import Expectation
from heliograph.tracker.pattern.memory import Found, PatternMemory
from heliograph.tracker.pattern.scaler import Scaler

GROUP = "tracker"
OVERLAP = timedelta(seconds=60)
"""A row's time is from before its commit, so rows of so much earlier are looked at again."""

Q = TypeVar("Q")


class PatternQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be expected of a symbol that looks like this at an event time (nanoseconds)."""

    symbol: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    ts: Annotated[int, msgspec.Meta(ge=0)]
    features: Features

    def __post_init__(self) -> None:
        check_features(self.features)


class PatternCases(msgspec.Struct, frozen=True, kw_only=True):
    """Cases to record."""

    cases: Annotated[list[PatternCase], msgspec.Meta(max_length=1000)]


class Patterns:
    """A replica's part in the pattern search."""

    def __init__(self, database: Database, *, check_s: float, compressed: bool) -> None:
        self._database = database
        self._compressed = compressed
        self._memory: PatternMemory | None = None
        self._since: datetime | None = None
        self._looking = Looking("patterns", self.look, check_s)

    async def register(self, bus: Bus) -> None:
        """Answer on the bus, one replica a request."""
        await bus.respond("query.tracker.pattern", self._find, queue=GROUP)
        await bus.respond("query.tracker.pattern_cases", self._keep, queue=GROUP)

    def start(self) -> None:
        """Begin to load what is in the record, and what comes; what is known is searched meanwhile."""
        self._looking.start()

    async def close(self) -> None:
        """Stop loading."""
        await self._looking.close()

    @property
    def cases(self) -> int:
        """Cases that can be found."""
        return 0 if self._memory is None else len(self._memory)

    async def look(self) -> None:
        """Take the cases whose outcome came since the last look; all of them under a new scaler.

        Raises:
            UnavailableError: Postgres is away.
        """
        async with self._database.connection() as connection, connection.transaction():
            scaler = await store.newest(connection)
            if scaler is None:
                return
            began = await store.now(connection)
            memory, since = self._memory, self._since
            if memory is None or memory.scaler != scaler:
                memory, since = PatternMemory(scaler, compressed=self._compressed), None
            await self._load(connection, scaler, memory, since)
            self._memory, self._since = memory, began - OVERLAP

    async def _load(
        self, connection: Connection, scaler: Scaler, memory: PatternMemory, since: datetime | None
    ) -> None:
        async for cases, vectors in store.ended(connection, scaler, since):
            if memory is self._memory:
                memory.add(cases, vectors)
            else:
                await asyncio.to_thread(memory.add, cases, vectors)

    async def _find(self, body: bytes) -> bytes:
        query = _decoded(PatternQuery, body)
        found = Found(expectation=Expectation())
        if self._memory is not None:
            found = self._memory.find(query.symbol, query.ts, query.features)
        return msgspec.json.encode(found)

    async def _keep(self, body: bytes) -> bytes:
        request = _decoded(PatternCases, body)
        async with self._database.connection() as connection:
            return msgspec.json.encode({"new": await store.keep(connection, request.cases)})


def _decoded(kind: type[Q], body: bytes) -> Q:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise InputError(f"query: {error}") from None
