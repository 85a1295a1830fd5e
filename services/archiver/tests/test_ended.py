"""The sums of ended signals after inserts in any order and repeats, beside a question to the raw tables."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.archiver import dashboard, ended
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.requests import Request
from heliograph.archiver.rows import event_rows
from heliograph.archiver.schema import VIEWS
from heliograph.common.events import Outcome, Signal, Vote

NUMBERS = range(14)
PICK = st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=8)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("signals", "outcomes")), PICK), st.tuples(st.just("merge"), st.just([0]))
    ),
    min_size=1,
    max_size=5,
)
_ENDED = """
(SELECT signal, result FROM outcomes FINAL
    WHERE toDate(ts) > (SELECT max(toDate(ts)) FROM outcomes) - {days:UInt32}) AS ended
"""
_BUCKETS = f"""
SELECT toUInt8(least(90, intDiv(toUInt32(confidence), 10) * 10)) AS bucket, count() AS outcomes,
    countIf(result = 'win') AS wins, round(wins / outcomes, 4), round(avg(confidence), 2)
FROM {_ENDED} INNER JOIN (SELECT id, confidence FROM signals FINAL) AS given ON ended.signal = given.id
GROUP BY bucket ORDER BY bucket
"""  # noqa: S608 - its parts are our own
_SOURCES = f"""
SELECT vote.source AS source, count() AS votes, countIf(agrees = 1) AS agreed,
    countIf(agrees = -1) AS opposed, countIf(agrees = if(result = 'win', 1, -1)) AS correct,
    round(correct / (agreed + opposed), 4) AS hit_rate
FROM (SELECT result, vote, vote.direction * if(action = 'BUY', 1, -1) AS agrees
    FROM {_ENDED} INNER JOIN (SELECT id, action, votes FROM signals FINAL) AS given ON ended.signal = given.id
    ARRAY JOIN votes AS vote WHERE result != 'expired')
GROUP BY source HAVING agreed + opposed > 0 ORDER BY hit_rate DESC, source
"""  # noqa: S608 - its parts are our own


def signal(events: Any, number: int) -> Signal:
    """One of the signals: three of each day, of both sides, with votes for, against and neutral."""
    votes = [
        Vote(source=source, direction=(number * step) % 3 - 1, confidence=0.5, weight=0.5)
        for step, source in enumerate(("trend", "news", "pattern"), 1)
    ]
    sides: dict[str, Any] = {"action": "SELL", "stop": 105.0, "target": 90.0} if number % 2 else {}
    made: Signal = events.signal(
        number // 3, f"S{number}", votes=votes, confidence=45.0 + 4 * number, **sides
    )
    return made


def outcome(events: Any, number: int) -> Outcome:
    """Its outcome, up to four days later."""
    result = ("win", "loss", "win", "expired")[number % 4]
    given: Signal = signal(events, number)
    made: Outcome = events.outcome(
        number // 3,
        f"S{number}",
        result=result,
        opened=given.ts,
        ts=given.ts + (number % 5) * events.day_ns,
    )
    return made


async def asked(db: ClickHouse, question: str, days: int) -> list[tuple[Any, ...]]:
    """The rows of a question over the sums."""
    return [tuple(row.values()) for row in await dashboard.ask(db, question, Request({"days": days}))]


async def equal(db: ClickHouse, days: int) -> None:
    """Both questions have the answers of the raw tables."""
    assert await asked(db, "confidence_buckets", days) == await db.rows(_BUCKETS, {"days": days})
    assert await asked(db, "reliability", days) == await db.rows(_SOURCES, {"days": days})


async def insert(db: ClickHouse, events: Any, kind: str, numbers: list[int]) -> None:
    """Deliver some signals or outcomes."""
    make = signal if kind == "signals" else outcome
    await db.insert(kind, event_rows(kind, [make(events, number) for number in numbers]))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, days=st.sampled_from((1, 3, 30)), lookups=st.sampled_from((1, 1000)))
async def test_after_any_deliveries_the_sums_are_those_of_the_raw_tables(
    db: ClickHouse, events: Any, steps: list[tuple[str, list[int]]], days: int, lookups: int
) -> None:
    for table in ("signals", "outcomes", *(view.name for view in VIEWS)):
        await db.rows(f"TRUNCATE TABLE {table}")
    ended.forget(db)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ended, "LOOKUPS", lookups)
        patch.setattr(ended, "REMEMBERED", 2)
        for kind, numbers in steps:
            if kind == "merge":
                await db.rows("OPTIMIZE TABLE outcome_days FINAL")
            else:
                await insert(db, events, kind, numbers)
            await equal(db, days)


async def test_a_repeated_insert_counts_once_and_a_late_signal_is_found(db: ClickHouse, events: Any) -> None:
    every = list(NUMBERS)
    await insert(db, events, "outcomes", every)
    assert await asked(db, "confidence_buckets", 30) == []
    await insert(db, events, "signals", every[:9])
    await equal(db, 30)
    for _ in range(2):
        await insert(db, events, "outcomes", every)
        await insert(db, events, "signals", every)
        await equal(db, 30)
    assert sum(row[1] for row in await asked(db, "confidence_buckets", 30)) == len(every)


async def test_days_that_have_not_changed_are_not_joined_again(
    db: ClickHouse, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert(db, events, "signals", list(NUMBERS))
    await insert(db, events, "outcomes", list(NUMBERS)[:-1])
    await equal(db, 30)
    statements: list[str] = []
    ask = db.rows

    async def told(sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        statements.append(sql)
        return await ask(sql, parameters)

    monkeypatch.setattr(db, "rows", told)
    before = await asked(db, "reliability", 30)
    assert await asked(db, "reliability", 30) == before
    assert not [sql for sql in statements if "signal_briefs" in sql]
    await insert(db, events, "outcomes", [NUMBERS[-1]])
    assert await asked(db, "reliability", 30) != before
    # The one new outcome is looked up, and no whole day.
    assert [sql for sql in statements if "signal_briefs" in sql] == [
        ended._SUMS.format(outcomes=ended._OF_SIGNALS)
    ]
