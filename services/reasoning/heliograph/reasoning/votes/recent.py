"""The newest bars of the shards that a source is asked about, read from INPUT when they are needed."""

import asyncio
from collections import deque

import msgspec

from heliograph.common import subjects
from heliograph.common.bus import Bus
from heliograph.common.errors import InputError
from heliograph.common.intervals import interval_ns
from heliograph.reasoning.votes.picture import BARS, Bar

STREAM = "INPUT"
KEPT = 400
"""Batches of a shard in memory at most."""
REACH = 40_000
"""How far back in INPUT, in messages of all shards, bars are looked for at first."""


class _Batch(msgspec.Struct):
    """Of a `BarBatch` what is needed here."""

    ts: int
    interval: str
    symbols: list[str]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]


class _Moment(msgspec.Struct):
    """Of a `BarBatch` its time alone."""

    ts: int
    interval: str


_batch = msgspec.json.Decoder(_Batch)
_moment = msgspec.json.Decoder(_Moment)


class _Held(msgspec.Struct):
    batch: _Batch
    closed_at: int
    places: dict[str, int]


class RecentBars:
    """Bars of one shard. Nothing is read before the first question."""

    def __init__(self, bus: Bus, shard: int) -> None:
        self._bus = bus
        self._subject = subjects.bars(shard)
        self._held: deque[_Held] = deque(maxlen=KEPT)
        self._seq: int | None = None
        self._reading = asyncio.Lock()

    async def event_time(self) -> int | None:
        """When the newest bar closed, UTC nanoseconds; None before there is one.

        Raises:
            UnavailableError: the server does not answer.
        """
        last = await self._bus.last(STREAM, self._subject)
        if last is None:
            return None
        try:
            found = _moment.decode(last.data)
            return found.ts + interval_ns(found.interval)
        except (msgspec.DecodeError, InputError):
            return None

    async def until(self, symbols: list[str], closed_at: int) -> dict[str, tuple[str, list[Bar]]]:
        """Symbol → interval and bars up to a close, the newest last: those that have one at that close.

        Raises:
            UnavailableError: the server does not answer.
        """
        async with self._reading:
            await self._read_on()
        found: dict[str, tuple[str, list[Bar]]] = {}
        for symbol in symbols:
            bars: list[Bar] = []
            interval = ""
            for held in reversed(self._held):
                place = held.places.get(symbol)
                if (
                    place is None
                    or held.closed_at > closed_at
                    or (interval and held.batch.interval != interval)
                ):
                    continue
                if not interval and held.closed_at != closed_at:
                    break
                interval = held.batch.interval
                bars.append(_bar(held, place))
                if len(bars) == BARS:
                    break
            if interval:
                found[symbol] = (interval, bars[::-1])
        return found

    async def _read_on(self) -> None:
        newest = await self._bus.last_seq(STREAM)
        after = self._seq if self._seq is not None else max(0, newest - REACH)
        async for stored in self._bus.read(STREAM, self._subject, after=after, upto=newest):
            try:
                batch = _batch.decode(stored.data)
                closed_at = batch.ts + interval_ns(batch.interval)
            except (msgspec.DecodeError, InputError):
                continue  # whoever judges bars has put it into DEAD
            places = {symbol: place for place, symbol in enumerate(batch.symbols)}
            self._held.append(_Held(batch, closed_at, places))
        self._seq = newest


def _bar(held: _Held, place: int) -> Bar:
    batch = held.batch
    return Bar(held.closed_at, batch.high[place], batch.low[place], batch.close[place], batch.volume[place])
