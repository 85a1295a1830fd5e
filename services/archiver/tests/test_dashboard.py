"""What a dashboard asks, beside the same question answered by hand, on the real engine."""

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from heliograph.archiver import dashboard
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.requests import Request
from heliograph.archiver.rows import event_rows
from heliograph.archiver.schema import VIEWS
from heliograph.common.errors import InputError
from heliograph.common.events import Outcome, Reason, Signal, Vote

DAYS = 60
SYMBOLS = ("AAPL", "BRK.B", "NVDA")
Made = tuple[list[Signal], list[Outcome], list[Reason]]


@pytest.fixture
def made(events: Any) -> Made:
    """Signals of sixty days; most have ended."""
    chance = random.Random(7)  # noqa: S311 - the same events each time
    signals, outcomes, reasons = [], [], []
    for day in range(DAYS):
        for symbol in chance.sample(SYMBOLS, 2):
            buy = chance.random() < 0.5
            votes = [
                Vote(source=s, direction=chance.choice((-1, 0, 1)), confidence=0.5, weight=0.5)
                for s in ("trend", "news")
            ]
            sides: dict[str, Any] = {} if buy else {"action": "SELL", "stop": 105.0, "target": 90.0}
            confidence = float(chance.randint(45, 100))
            signals.append(events.signal(day, symbol, votes=votes, confidence=confidence, **sides))
            reasons.append(
                events.reason(day, symbol, provider="glm", cost=0.001, tokens_in=day, tokens_out=1)
                if buy
                else events.reason(day, symbol)
            )
            if chance.random() < 0.8:
                result = chance.choice(("win", "loss", "expired"))
                outcomes.append(
                    events.outcome(day, symbol, result=result, pnl_net=chance.uniform(-5, 5), r_multiple=0.5)
                )
    return signals, outcomes, reasons


@pytest.fixture
async def loaded(db: ClickHouse, made: Made) -> ClickHouse:
    """The events, a third of them delivered twice."""
    for part in (slice(None), slice(None, None, 3)):
        await insert(db, made, part)
    return db


async def insert(db: ClickHouse, made: Made, part: slice) -> None:
    signals, outcomes, reasons = made
    await db.insert("signals", event_rows("signals", signals[part]))
    await db.insert("outcomes", event_rows("outcomes", outcomes[part]))
    await db.insert("reasons", event_rows("reasons", reasons[part]))


def within(found: list[Any], days: int, day_ns: int) -> list[Any]:
    newest = max(event.ts for event in found) // day_ns
    return [event for event in found if event.ts // day_ns > newest - days]


async def asked(db: ClickHouse, question: str, **fields: Any) -> list[dict[str, Any]]:
    return await dashboard.ask(db, question, Request(fields))


async def test_signals_a_day(loaded: ClickHouse, made: Made, events: Any) -> None:
    found = await asked(loaded, "daily_signals", days=20)
    expected: dict[int, list[Signal]] = defaultdict(list)
    for signal in within(made[0], 20, events.day_ns):
        expected[signal.ts // events.day_ns].append(signal)
    assert len(found) == len(expected) == 20
    for row, (_, signals) in zip(found, sorted(expected.items()), strict=True):
        assert row["buys"] == sum(s.action == "BUY" for s in signals)
        assert row["sells"] == sum(s.action == "SELL" for s in signals)
        assert row["confidence"] == pytest.approx(sum(s.confidence for s in signals) / len(signals), abs=0.01)


async def test_performance_by_symbol(loaded: ClickHouse, made: Made, events: Any) -> None:
    found = {row["symbol"]: row for row in await asked(loaded, "performance")}
    recent = within(made[1], 30, events.day_ns)
    assert set(found) == {o.symbol for o in recent}
    for symbol, row in found.items():
        own = [o for o in recent if o.symbol == symbol]
        assert (row["outcomes"], row["wins"]) == (len(own), sum(o.result == "win" for o in own))
        assert row["expired"] == sum(o.result == "expired" for o in own)
        assert row["pnl_net"] == pytest.approx(sum(o.pnl_net for o in own), abs=1e-3)
        assert row["r"] == pytest.approx(0.5 * len(own))
    assert len(await asked(loaded, "performance", limit=1)) == 1


async def test_confidence_against_wins(loaded: ClickHouse, made: Made) -> None:
    found = {row["bucket"]: row for row in await asked(loaded, "confidence_buckets", days=DAYS * 2)}
    confidence = {s.id: s.confidence for s in made[0]}
    expected: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in made[1]:
        expected[min(90, int(confidence[outcome.signal]) // 10 * 10)].append(outcome)
    assert {b: (r["outcomes"], r["wins"]) for b, r in found.items()} == {
        bucket: (len(own), sum(o.result == "win" for o in own)) for bucket, own in expected.items()
    }


async def test_spend_by_hour_and_provider(loaded: ClickHouse, made: Made, events: Any) -> None:
    found = await asked(loaded, "spend", days=DAYS * 2)
    paid = [r for r in made[2] if r.provider == "glm"]
    assert {row["provider"] for row in found} == {"glm"}
    assert sum(row["calls"] for row in found) == len(paid)
    assert sum(row["cost"] for row in found) == pytest.approx(0.001 * len(paid))
    assert sum(row["tokens_in"] for row in found) == sum(r.tokens_in for r in paid)


async def test_spend_by_day_and_by_signal(loaded: ClickHouse, made: Made, events: Any) -> None:
    paid = {r.signal: r for r in made[2] if r.provider == "glm"}
    days = await asked(loaded, "spend_days", days=DAYS * 2)
    assert {(row["provider"], row["model"]) for row in days} == {("glm", "template@1")}
    assert len(days) == len({r.ts // events.day_ns for r in paid.values()})
    assert sum(row["tokens_in"] for row in days) == sum(r.tokens_in for r in paid.values())
    signals = await asked(loaded, "spend_signals", days=DAYS * 2)
    assert {row["signal"]: (row["symbol"], row["tokens_in"], row["cost"]) for row in signals} == {
        signal: (reason.symbol, reason.tokens_in, 0.001) for signal, reason in paid.items()
    }
    assert len(await asked(loaded, "spend_signals", days=DAYS * 2, limit=2)) == 2


async def test_reliability_of_the_sources(loaded: ClickHouse, made: Made) -> None:
    found = {row["source"]: row for row in await asked(loaded, "reliability", days=DAYS * 2)}
    results = {o.signal: o.result for o in made[1] if o.result != "expired"}
    for source, row in found.items():
        cast = [
            (v.direction * (1 if s.action == "BUY" else -1), results[s.id])
            for s in made[0]
            if s.id in results
            for v in s.votes
            if v.source == source
        ]
        assert row["votes"] == len(cast)
        assert (row["agreed"], row["opposed"]) == (
            sum(a == 1 for a, _ in cast),
            sum(a == -1 for a, _ in cast),
        )
        assert row["correct"] == sum((a, r) in ((1, "win"), (-1, "loss")) for a, r in cast)
    assert set(found) == {"trend", "news"}


@pytest.mark.parametrize("question", dashboard.QUESTIONS)
async def test_no_events_give_no_rows_and_a_wrong_period_is_named(db: ClickHouse, question: str) -> None:
    assert await asked(db, question) == []
    with pytest.raises(InputError, match="days: 0"):
        await asked(db, question, days=0)


async def test_a_view_that_is_new_is_filled_from_what_was_there(
    open_clickhouse: Callable[[], Any], made: Made
) -> None:
    db = await open_clickhouse()
    await insert(db, made, slice(None))
    before = [await asked(db, question) for question in dashboard.QUESTIONS]
    await db.rows("CREATE TABLE signals_daily (day Date) ENGINE = MergeTree ORDER BY day")
    for view in VIEWS:
        await db.rows(f"DROP TABLE {view.name}_view")
        await db.rows(f"DROP TABLE {view.name}")
    await db.close()
    again = await open_clickhouse()
    assert [await asked(again, question) for question in dashboard.QUESTIONS] == before
    assert await again.rows("SELECT count() FROM system.tables WHERE name = 'signals_daily'") == [(0,)]
    assert all(msgspec.json.encode(rows) for rows in before)


async def test_a_view_whose_filling_was_cut_off_is_filled_again(
    open_clickhouse: Callable[[], Any], made: Made
) -> None:
    db = await open_clickhouse()
    await insert(db, made, slice(None))
    before = [await asked(db, question) for question in dashboard.QUESTIONS]
    for view in VIEWS:
        # As a process leaves it that dies before the mark is set.
        await db.rows(f"ALTER TABLE {view.name} MODIFY COMMENT ''")
        await db.rows(f"DELETE FROM {view.name} WHERE cityHash64(signal) % 3 = 0")  # noqa: S608 - our own name
    assert [await asked(db, question) for question in dashboard.QUESTIONS] != before
    await db.close()
    again = await open_clickhouse()
    assert [await asked(again, question) for question in dashboard.QUESTIONS] == before
    for view in VIEWS:
        await again.rows(f"TRUNCATE TABLE {view.name}")
    await again.close()
    marked = await open_clickhouse()
    assert await asked(marked, "daily_signals") == [], "what was filled is not filled again"
