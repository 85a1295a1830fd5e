"""Spans from the real server into the real database, over reconnects and past what is no span."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from heliograph.archiver import counting, span_reader
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.span_reader import DURABLE, SpanReader
from heliograph.archiver.writer import GroupCommit
from heliograph.common import subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.errors import UnavailableError

Eventually = Callable[..., Awaitable[Any]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_reader, "PAUSE_S", 0.05)


@pytest.fixture
async def run() -> AsyncIterator[Callable[[SpanReader], asyncio.Task[None]]]:
    """Run a reader; it is cancelled in the end."""
    tasks: list[asyncio.Task[None]] = []

    def start(reader: SpanReader) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(reader.run()))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def send(bus: Bus, body: bytes, msg_id: str) -> None:
    await bus.publish([Message(subject=subjects.spans("test"), data=body, msg_id=msg_id)])


def body(events: Any, *numbers: int) -> bytes:
    return json.dumps({"spans": [events.span(n) for n in numbers]}).encode()


async def all_acknowledged(bus: Bus) -> bool:
    return (await bus.lag("SPAN")).get(DURABLE) == 0


async def test_spans_are_inserted_and_then_acknowledged(
    bus: Bus, db: ClickHouse, events: Any, run: Any, eventually: Eventually
) -> None:
    reader = SpanReader(bus, GroupCommit(db.insert, rows=1000, seconds=0.02))
    run(reader)
    for number in range(20):
        await send(bus, body(events, 2 * number, 2 * number + 1), f"{number}")
    await eventually(lambda: all_acknowledged(bus))
    assert (await counting.counts(db))["spans"] == 40
    assert (reader.problem, reader.refused) == ("", 0)


async def test_what_is_no_span_is_counted_and_passed(
    bus: Bus, db: ClickHouse, events: Any, run: Any, eventually: Eventually
) -> None:
    reader = SpanReader(bus, GroupCommit(db.insert, rows=1000, seconds=0.02))
    run(reader)
    far = json.dumps({"spans": [events.span(7, start_ns=1 << 63)]}).encode()
    for number, data in enumerate([b"", b"{", b"[]", b'{"spans":[{"trace_id":5}]}', far, body(events, 1)]):
        await send(bus, data, f"{number}")
    await eventually(lambda: all_acknowledged(bus))
    assert (await counting.counts(db))["spans"] == 1
    assert reader.refused == 5


async def test_a_store_that_is_away_is_told_and_loses_nothing(
    bus: Bus, db: ClickHouse, events: Any, run: Any, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_reader, "ACK_WAIT_S", 1)
    away = True

    async def insert(table: str, rows: Any) -> None:
        if away:
            raise UnavailableError("clickhouse: away")
        await db.insert(table, rows)

    reader = SpanReader(bus, GroupCommit(insert, rows=1000, seconds=0.02))
    run(reader)
    await send(bus, body(events, 1, 2), "1")

    async def told() -> bool:
        return "clickhouse: away" in reader.problem

    await eventually(told)
    away = False
    await eventually(lambda: all_acknowledged(bus))
    assert (await counting.counts(db))["spans"] == 2

    async def well() -> bool:
        return reader.problem == ""

    await eventually(well)


async def test_it_goes_on_after_the_server_was_killed(
    bus: Bus,
    db: ClickHouse,
    events: Any,
    run: Any,
    eventually: Eventually,
    nats_server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, seconds in (("ACK_WAIT_S", 1), ("PAUSE_S", 0.05), ("PAUSE_MAX_S", 0.2), ("FETCH_WAIT_S", 0.2)):
        monkeypatch.setattr(span_reader, name, seconds)
    reader = SpanReader(bus, GroupCommit(db.insert, rows=1000, seconds=0.02))
    run(reader)
    await send(bus, body(events, 1), "1")
    await eventually(lambda: all_acknowledged(bus))
    nats_server.stop(signal.SIGKILL)
    nats_server.start()

    async def sent() -> bool:
        try:
            await send(bus, body(events, 2), "2")
        except UnavailableError:
            return False
        return True

    await eventually(sent)

    async def inserted() -> bool:
        return (await counting.counts(db))["spans"] == 2

    await eventually(inserted)


async def test_two_readers_share_the_spans(
    bus: Bus, db: ClickHouse, events: Any, run: Any, eventually: Eventually
) -> None:
    writer = GroupCommit(db.insert, rows=1000, seconds=0.02)
    run(SpanReader(bus, writer))
    run(SpanReader(bus, writer))
    for number in range(50):
        await send(bus, body(events, number), f"{number}")
    await eventually(lambda: all_acknowledged(bus))
    assert (await counting.counts(db))["spans"] == 50
