"""What panels say, on the real bus and the real Postgres."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import psycopg
import pytest

from heliograph.common import subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.errors import InputError
from heliograph.common.events import AgentProgress, DeadLetter, Prediction, Verdict, encode
from heliograph.common.ids import derive_id
from heliograph.tracker.database import Database
from heliograph.tracker.predictions import Predictions, PredictionsQuery
from heliograph.tracker.service import TrackerService

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
AGENTS = ("ben_graham", "technicals")


def verdict(run: str, ticker: str, verdicts: int = 2, **changes: Any) -> Verdict:
    fields: dict[str, Any] = {
        "id": derive_id("verdict", run, ticker),
        "v": 2,
        "ts": 1_748_649_600_000_000_000,
        "run": run,
        "ticker": ticker,
        "direction": -1,
        "conviction": 0.3,
        "agents": 1,
        "action": "short",
        "quantity": 17,
        "reason": "1 bearish: conviction -0.30.",
        "asof": "2025-05-30",
        "verdicts": verdicts,
        "predictions": [
            Prediction(
                agent="ben_graham",
                signal="bearish",
                confidence=0.3,
                reasoning="3 of 9 points",
                by="glm",
                facts='{"score": 0.33}',
                prompt="You judge …",
                answer='{"signal": "bearish"}',
            ),
            Prediction(agent="technicals", signal="abstain", confidence=0.0, reasoning="no bars", by="rules"),
        ],
    }
    return Verdict(**(fields | changes))


async def publish(bus: Bus, *events: Verdict | AgentProgress) -> None:
    for event in events:
        subject = subjects.analysis(event.run, "portfolio_manager")
        await bus.publish([Message(subject=subject, data=encode(event), msg_id=event.id)])


async def rows(database: Database, run: str) -> list[tuple[Any, ...]]:
    return await database.fetch(
        "SELECT ticker, agent, signal, prompt FROM predictions WHERE run = %s ORDER BY ticker, agent", (run,)
    )


@pytest.fixture
async def predictions(database: Database, bus: Bus) -> AsyncIterator[Predictions]:
    reader = Predictions(database, bus)
    await reader.start()
    yield reader
    await reader.close()


async def test_a_run_is_stored_when_its_last_verdict_has_come(
    predictions: Predictions, database: Database, bus: Bus, eventually: Eventually
) -> None:
    step = AgentProgress(id="1" * 16, ts=1, run="a1", agent="portfolio_manager", ticker="SNOW", status="done")
    await publish(bus, step, verdict("a1", "SNOW"))

    async def read_all() -> bool:
        return (await bus.ack_floor("ANALYSIS", "tracker-predictions")) == await bus.last_seq("ANALYSIS")

    await eventually(read_all)
    assert await rows(database, "a1") == []  # half a run is none
    await publish(bus, verdict("a1", "AAPL"))

    async def stored() -> list[tuple[Any, ...]]:
        return await rows(database, "a1")

    assert await eventually(stored) == [
        ("AAPL", "ben_graham", "bearish", "You judge …"),
        ("AAPL", "technicals", "abstain", ""),
        ("SNOW", "ben_graham", "bearish", "You judge …"),
        ("SNOW", "technicals", "abstain", ""),
    ]


async def test_a_second_delivery_changes_nothing(
    predictions: Predictions, database: Database, eventually: Eventually
) -> None:
    both = [verdict("a2", "SNOW"), verdict("a2", "AAPL")]
    await asyncio.gather(*(predictions.store(both) for _ in range(4)))
    assert len(await rows(database, "a2")) == 4


async def test_a_run_comes_whole_or_not_at_all(predictions: Predictions, database: Database) -> None:
    wrong = verdict("a3", "SNOW", action="everything")
    with pytest.raises(psycopg.errors.CheckViolation):
        await predictions.store([verdict("a3", "AAPL"), wrong])
    assert await database.fetch("SELECT FROM verdicts WHERE run = 'a3'") == []
    assert await rows(database, "a3") == []


async def test_what_can_never_be_stored_is_kept_in_dead(
    predictions: Predictions, database: Database, bus: Bus, eventually: Eventually
) -> None:
    await publish(bus, verdict("a4", "SNOW", verdicts=1, conviction=7.0))
    await bus.publish([Message(subject="analysis.a4.portfolio_manager", data=b"{", msg_id="broken")])

    async def letters() -> list[Any]:
        last = await bus.last_seq("DEAD")
        found = [m async for m in bus.read("DEAD", "dead.tracker.analysis", after=0, upto=last)]
        return found if len(found) == 2 else []

    first, second = [msgspec.json.decode(m.data, type=DeadLetter) for m in await eventually(letters)]
    assert "CheckViolation" in first.reason
    assert second.payload == b"{"
    await publish(bus, verdict("a5", "SNOW", verdicts=1))

    async def goes_on() -> list[tuple[Any, ...]]:
        return await rows(database, "a5")

    assert len(await eventually(goes_on)) == 2


async def test_what_was_said_is_never_changed(predictions: Predictions, database: Database) -> None:
    await predictions.store([verdict("a6", "SNOW", verdicts=1)])
    for statement in ("UPDATE predictions SET signal = 'bullish'", "DELETE FROM verdicts"):
        with pytest.raises(psycopg.errors.RestrictViolation):
            await database.fetch(statement)


async def test_a_run_can_be_asked_for(tracker: TrackerService, bus: Bus, eventually: Eventually) -> None:
    await publish(bus, verdict("a7", "SNOW"), verdict("a7", "AAPL"))

    async def answered() -> Any:
        try:
            return await bus.request("query.tracker.predictions", {"run": "a7"})
        except InputError:
            return None

    answer = await eventually(answered)
    assert [v["ticker"] for v in answer["verdicts"]] == ["AAPL", "SNOW"]
    snow = answer["verdicts"][1]
    assert (snow["asof"], snow["action"], snow["quantity"]) == ("2025-05-30", "short", 17)
    said = {p["agent"]: p for p in snow["predictions"]}
    assert (said["ben_graham"]["prompt"], said["ben_graham"]["by"]) == ("You judge …", "glm")


async def test_a_run_that_is_not_there_is_named(predictions: Predictions) -> None:
    with pytest.raises(InputError, match="a0"):
        await predictions.predictions(PredictionsQuery(run="a0"))


async def test_replicas_share_the_reading(
    database: Database, bus: Bus, nats_settings: Any, eventually: Eventually
) -> None:
    other = await Bus.connect(nats_settings, "other")
    readers = [Predictions(database, bus), Predictions(database, other)]
    for reader in readers:
        await reader.start()
    for number in range(10):
        await publish(bus, verdict(f"b{number}", "SNOW", verdicts=1))

    async def all_stored() -> bool:
        ((count,),) = await database.fetch("SELECT count(*) FROM verdicts WHERE run LIKE 'b%%'", ())
        return bool(count == 10)

    await eventually(all_stored)
    await readers[0].close()
    await publish(bus, verdict("c1", "SNOW", verdicts=1))

    async def taken_over() -> list[tuple[Any, ...]]:
        return await rows(database, "c1")

    assert len(await eventually(taken_over)) == 2
    await readers[1].close()
    await other.close()
