"""A shard from the real server into the real database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from heliograph.archiver import counting
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.processor import SOURCES, ArchiveProcessor
from heliograph.archiver.writer import GroupCommit
from heliograph.common import subjects, telemetry
from heliograph.common.bus import Bus, Message
from heliograph.common.errors import PoisonError, UnavailableError
from heliograph.common.events import Event, encode
from heliograph.common.positions import Positions
from heliograph.common.precedence import Precedence
from heliograph.common.service import Delivery
from heliograph.common.worker import DeadLetters, ShardWorker

Eventually = Callable[..., Awaitable[Any]]
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class ShardOfArchiver:
    """The archiver's shards as the shell sees them, on a database that the test holds."""

    name = "archiver"
    sources = SOURCES
    sharded = True

    def __init__(self, db: ClickHouse) -> None:
        self.writer = GroupCommit(db.insert, rows=1000, seconds=0.02)
        self.held: list[bool] = []

    def processor(self, shard: int) -> ArchiveProcessor:
        assert shard == 1
        return ArchiveProcessor(self.writer, lambda *, held: self.held.append(held), 256)


@pytest.fixture
async def start_shard(bus: Bus, db: ClickHouse) -> AsyncIterator[Callable[[], ShardOfArchiver]]:
    """Start a worker on shard 1; all are stopped in the end."""
    running: list[tuple[ShardWorker, asyncio.Task[None]]] = []

    def start() -> ShardOfArchiver:
        service: Any = ShardOfArchiver(db)
        dead = DeadLetters(bus, "archiver", 100)
        worker = ShardWorker(bus, Positions(bus), service, 1, dead, 64, lambda: None, Precedence(), {})
        running.append((worker, asyncio.create_task(worker.run())))
        return service  # type: ignore[no-any-return] # typed by its use

    yield start
    for worker, task in running:
        worker.stop()
        async with asyncio.timeout(15):
            await task


async def publish(bus: Bus, subject: str, *published: Event, headers: dict[str, str] | None = None) -> None:
    await bus.publish(
        [Message(subject=subject, data=encode(e), msg_id=e.id, headers=headers or {}) for e in published]
    )


def counted(db: ClickHouse, **expected: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        found = await counting.counts(db)
        return {name: found[name] for name in expected} == expected

    return check


async def test_all_sources_of_a_shard_reach_their_tables(
    bus: Bus, db: ClickHouse, events: Any, start_shard: Any, eventually: Eventually
) -> None:
    service = start_shard()
    await publish(bus, subjects.bars(1), *(events.bars(day) for day in range(200)))
    await publish(bus, subjects.bars(2), events.bars(500, ("OTHER",)))
    await publish(bus, subjects.signal(1, "BRK.B"), events.signal(1, "BRK.B"))
    await publish(bus, subjects.reason(1, "BRK.B"), events.reason(1, "BRK.B"))
    await publish(bus, subjects.outcome(1, "BRK.B"), events.outcome(1, "BRK.B"))
    await publish(bus, "input.votes.1", events.votes(1))
    await eventually(counted(db, bars=400, signals=1, reasons=1, outcomes=1, votes=2))
    assert service.held == [True]

    async def acknowledged() -> bool:
        lags = [(await bus.lag(s.stream))[f"archiver-1-{s.name}"] for s in SOURCES]
        return not any(lags)

    await eventually(acknowledged)


async def test_a_shard_delivered_again_from_the_start_counts_once(
    bus: Bus, db: ClickHouse, events: Any, start_shard: Any, eventually: Eventually
) -> None:
    await publish(bus, subjects.bars(1), *(events.bars(day) for day in range(50)))
    await publish(bus, subjects.signal(1, "AAPL"), *(events.signal(day) for day in range(5)))
    start_shard()
    await eventually(counted(db, bars=100, signals=5))
    for stream, name in (("INPUT", "archiver-1-bars"), ("SIGNAL", "archiver-1-signals")):
        await bus.js.delete_consumer(stream, name)
    start_shard()

    async def read_again() -> bool:
        lag = {**await bus.lag("INPUT"), **await bus.lag("SIGNAL")}
        return {lag.get("archiver-1-bars"), lag.get("archiver-1-signals")} == {0}

    await eventually(read_again)
    assert await counted(db, bars=100, signals=5)()


async def test_a_signal_that_fits_no_table_goes_to_dead_alone(
    bus: Bus, db: ClickHouse, events: Any, start_shard: Any, eventually: Eventually
) -> None:
    bad = events.signal(3, input_seq=-1)
    await publish(bus, subjects.signal(1, "AAPL"), *(events.signal(day) for day in range(3)))
    await publish(bus, subjects.signal(1, "AAPL"), bad, *(events.signal(day) for day in range(4, 6)))
    start_shard()
    await eventually(counted(db, signals=5))
    dead = await eventually(lambda: bus.last("DEAD", subjects.dead("archiver", 1)))
    assert b"signals.input_seq" in dead.data


async def test_signals_and_outcomes_are_traced_in_their_own_trace(
    db: ClickHouse, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracing = telemetry.Tracing("archiver", "test", 0.0)
    monkeypatch.setattr(telemetry._Holder, "tracing", tracing)
    processor = ArchiveProcessor(GroupCommit(db.insert, rows=1, seconds=0), lambda *, held: None, 256)  # noqa: ARG005
    headers = {"traceparent": TRACEPARENT}

    def delivery(event: Event) -> Delivery:
        return Delivery(event=event, subject="", data=b"", seq=1, headers=headers)

    await processor.handle("signals", [delivery(events.signal(1))])
    await processor.handle("outcomes", [delivery(events.outcome(1))])
    await processor.handle("reasons", [delivery(events.reason(1))])
    await processor.handle("bars", [delivery(events.bars(1))])
    spans = [msgspec.to_builtins(span) for span in tracing._queue]
    assert [s["name"] for s in spans] == ["archive", "archive"]
    assert {(s["trace_id"], s["parent_id"]) for s in spans} == {(TRACE, "b7ad6b7169203331")}
    assert {s["attributes"]["heliograph.signal"] for s in spans} == {events.signal(1).id}
    assert [s["attributes"]["heliograph.table"] for s in spans] == ["signals", "outcomes"]


async def test_a_batch_is_not_done_before_its_rows_are_in_the_table(events: Any) -> None:
    inserted = asyncio.Event()

    async def insert(_table: str, _rows: Any) -> None:
        await inserted.wait()

    processor = ArchiveProcessor(GroupCommit(insert, rows=1, seconds=0), lambda *, held: None, 256)  # noqa: ARG005
    delivery = Delivery(event=events.bars(), subject="", data=b"", seq=1, headers={})
    task = asyncio.create_task(processor.handle("bars", [delivery]))
    await asyncio.sleep(0.1)
    assert not task.done()
    inserted.set()
    await task


@pytest.mark.parametrize("failure", [UnavailableError("away"), PoisonError("bad")])
async def test_a_failed_insert_fails_the_batch(events: Any, failure: Exception) -> None:
    async def insert(_table: str, _rows: Any) -> None:
        raise failure

    processor = ArchiveProcessor(GroupCommit(insert, rows=1, seconds=0), lambda *, held: None, 256)  # noqa: ARG005
    delivery = Delivery(event=events.signal(), subject="", data=b"", seq=1, headers={})
    with pytest.raises(type(failure), match=str(failure)):
        await processor.handle("signals", [delivery])
