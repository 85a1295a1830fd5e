"""How the signals that ended on each day had been given: by confidence, and by source.

The question joins each outcome of its period with its signal, which takes longer the more there are. So the
sums of a day are kept beside what the day held when they were made: the number of its rows and the sum of its
ids. Any new outcome changes these, and then it alone is joined and added. What has been added is known by id:
an outcome that comes again counts once, and one whose signal is not there yet is looked for again.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
import numpy.typing as npt

from heliograph.archiver.archive.days import groups
from heliograph.archiver.clickhouse import ClickHouse

LOOKUPS = 1000
"""New outcomes of a day that are looked up one by one; with more of them the whole day is summed again."""
REMEMBERED = 7
"""Newest days whose ids are kept, 8 bytes an outcome; an older one that changes is summed again."""

_STATES = """
SELECT day, count(), sum(signal) FROM outcome_days
WHERE day > (SELECT max(day) FROM outcome_days) - {days:UInt32} GROUP BY day ORDER BY day
"""
_IDS = "SELECT groupUniqArray(signal) FROM outcome_days WHERE day = {day:Date}"
_SUMS = """
SELECT day, groupArrayIf(signal, known), countIf(NOT known),
    sumMapIf([bucket], [toUInt64(1)], [toUInt64(result = 'win')], [toFloat64(confidence)], known),
    sumMapIf(votes.source, arrayMap(agrees -> toUInt64(1), votes.agrees),
        arrayMap(agrees -> toUInt64(agrees = 1), votes.agrees),
        arrayMap(agrees -> toUInt64(agrees = -1), votes.agrees),
        arrayMap(agrees -> toUInt64(agrees = if(result = 'win', 1, -1)), votes.agrees),
        known AND result != 'expired')
FROM (SELECT day, signal, any(result) AS result FROM outcome_days
    WHERE {outcomes} GROUP BY day, signal) AS ended
LEFT JOIN (SELECT signal, confidence, votes, true AS known,
        toUInt8(least(90, intDiv(toUInt32(confidence), 10) * 10)) AS bucket
    FROM signal_briefs WHERE (day, signal) IN (SELECT opened, signal FROM outcome_days WHERE {outcomes})
    LIMIT 1 BY signal) AS given
    ON ended.signal = given.signal
GROUP BY day
"""
_OF_DAYS = "day IN {days:Array(Date)}"
_OF_SIGNALS = "day = {day:Date} AND signal IN {signals:Array(UInt64)}"

State = tuple[int, int]


class Day(msgspec.Struct):
    """One day's sums.

    Attributes:
        state: what the day held when they were made, by which it is known again; `rows` its first part.
        missing: outcomes whose signal was not there.
        ids: the signals in the sums; none for a day of long ago.
        buckets: by ten points of confidence: outcomes, wins, and the sum of the confidence.
        sources: by source, of signals that won or lost: votes, agreed, opposed, correct.
    """

    state: State
    missing: int
    ids: npt.NDArray[np.uint64] | None
    buckets: Counter[tuple[int, int]]
    sources: Counter[tuple[str, int]]

    @property
    def rows(self) -> int:
        """How many rows the day had, each repeated one too."""
        return self.state[0]


class Sums:
    """The sums of one database, brought up to date as they are asked for."""

    def __init__(self, db: ClickHouse) -> None:
        self._db = db
        self._days: dict[str, Day] = {}
        self._one = asyncio.Lock()

    async def over(self, days: int) -> list[Day]:
        """The sums of each of the last days with outcomes.

        Raises:
            UnavailableError: ClickHouse is away.
        """
        async with self._one:
            found = await self._db.rows(_STATES, {"days": days})
            states = {str(day): (int(rows), int(ids)) for day, rows, ids in found}
            whole = [day for day, state in states.items() if not await self._follow(day, state)]
            remembered = set(sorted(states)[-REMEMBERED:])
            for group in groups([_Changed(day=day, rows=states[day][0]) for day in whole]):
                dates = [changed.day for changed in group]
                for row in await self._db.rows(_SUMS.format(outcomes=_OF_DAYS), {"days": dates}):
                    day = str(row[0])
                    self._days[day] = _day(states[day], row, keep=day in remembered)
            for day, sums in self._days.items():
                if day not in remembered and day in states:
                    sums.ids = None
            return [self._days[day] for day in states]

    async def _follow(self, day: str, state: State) -> bool:
        """Bring a day up to date by what is new in it; whether that could be done."""
        known = self._days.get(day)
        if known is None:
            return False
        if known.state == state and not known.missing:
            return True
        if known.ids is None or abs(state[0] - known.rows) > LOOKUPS:
            return False
        [(ids,)] = await self._db.rows(_IDS, {"day": day})
        there = np.array(ids, np.uint64)
        new = np.setdiff1d(there, known.ids)
        if len(there) - len(new) != len(known.ids) or len(new) > LOOKUPS:
            return False
        wanted: Mapping[str, Any] = {"day": day, "signals": new.tolist()}
        for row in await self._db.rows(_SUMS.format(outcomes=_OF_SIGNALS), wanted) if len(new) else ():
            more = _day(state, row, keep=True)
            known.buckets.update(more.buckets)
            known.sources.update(more.sources)
            known.ids = np.concatenate([known.ids, more.ids])
            known.missing = more.missing
        known.state = state
        return True


class _Changed(msgspec.Struct, frozen=True):
    day: str
    rows: int


def _day(state: State, row: Sequence[Any], *, keep: bool) -> Day:
    _, ids, missing, buckets, sources = row
    return Day(
        state=state,
        missing=int(missing),
        ids=np.array(ids, np.uint64) if keep else None,
        buckets=_counter(buckets),
        sources=_counter(sources),
    )


def _counter(maps: Sequence[Sequence[Any]]) -> Counter[Any]:
    """The sums of ClickHouse's `sumMap`, keys and then a list a value, by key and number of the value."""
    keys, *values = maps
    return Counter(
        {(key, place): sum_ for place, of in enumerate(values) for key, sum_ in zip(keys, of, strict=True)}
    )


_sums: WeakKeyDictionary[ClickHouse, Sums] = WeakKeyDictionary()


def forget(db: ClickHouse) -> None:
    """Sum anew from now on, since rows have been taken away: what is only added needs no such word."""
    _sums.pop(db, None)


async def over(db: ClickHouse, days: int) -> tuple[Counter[tuple[int, int]], Counter[tuple[str, int]]]:
    """The buckets and the sources of all signals that ended in the last days of the data.

    Raises:
        UnavailableError: ClickHouse is away.
    """
    if db not in _sums:
        _sums[db] = Sums(db)
    buckets, sources = Counter[tuple[int, int]](), Counter[tuple[str, int]]()
    for day in await _sums[db].over(days):
        buckets.update(day.buckets)
        sources.update(day.sources)
    return buckets, sources
