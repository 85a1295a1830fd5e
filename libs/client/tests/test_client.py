"""The subscriber's client on the real NATS server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliograph.client import AlteredError, Connection, Received, Signal, UnreadableError, connect
from heliograph.common.bus import Bus, Message
from heliograph.common.errors import InputError, UnavailableError
from heliograph.common.events import encode, identity_sha256
from heliograph.common.shards import shard_of
from heliograph.common.subjects import signal as subject_of

GOLDEN = Path(__file__).parents[2] / "common" / "tests" / "golden" / "signal.v1.json"
SHARDS = 4


class Published:
    """Signals as consensus publishes them, each shard with its chain."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._heads: dict[int, str] = {}
        self._example = msgspec.json.decode(GOLDEN.read_bytes(), type=Signal)
        self.signals: list[Signal] = []

    def make(self, symbol: str, **changes: Any) -> Signal:
        number = len(self.signals)
        made = msgspec.structs.replace(self._example, id=f"{number:016x}", symbol=symbol)
        identity = {
            name: getattr(made, name)
            for name in ("id", "symbol", "action", "entry", "target", "stop", "confidence", "strategy", "ts")
        }
        shard = shard_of(symbol, SHARDS)
        sealed = {"sha256": identity_sha256(**identity), "prev_sha256": self._heads.get(shard, "")}
        self._heads[shard] = sealed["sha256"]
        return msgspec.structs.replace(made, **(sealed | changes))

    async def send(self, *symbols: str, **changes: Any) -> None:
        for symbol in symbols:
            made = self.make(symbol, **changes)
            self.signals.append(made)
            subject = subject_of(shard_of(symbol, SHARDS), symbol)
            message = Message(subject=subject, data=encode(made), msg_id=made.id)
            while True:
                with contextlib.suppress(UnavailableError):  # the server is being started again
                    await self._bus.publish([message], timeout=2)
                    break


@pytest.fixture
def published(bus: Bus) -> Published:
    return Published(bus)


@pytest.fixture
async def client(bus: Bus, nats_server: Any) -> AsyncIterator[Connection]:
    async with await connect(nats_server.url) as connection:
        yield connection


async def take(events: AsyncIterator[Received[Signal]], count: int) -> list[Received[Signal]]:
    async with asyncio.timeout(15):
        return [await anext(events) for _ in range(count)]


async def test_past_signals_come_first_and_then_the_live_ones(
    client: Connection, published: Published
) -> None:
    await published.send("AAPL", "BRK.B", "A B")
    events = client.signals(after=0)
    past = await take(events, 3)
    await published.send("BTC/USD")
    live = await take(events, 1)
    assert [r.event for r in past + live] == published.signals
    assert [r.seq for r in past + live] == [1, 2, 3, 4]
    assert abs(datetime.now(UTC) - live[0].published_at) < timedelta(minutes=1)


async def test_one_symbol_alone(client: Connection, published: Published) -> None:
    await published.send("AAPL", "BRK.B", "AAPL", "BRK.B")
    found = await take(client.signals("BRK.B", after=0), 2)
    assert [r.event for r in found] == published.signals[1::2]


async def test_it_goes_on_where_it_stopped_and_without_a_place_with_what_is_new(
    client: Connection, published: Published
) -> None:
    await published.send("AAPL", "MSFT", "AAPL")
    (first,) = await take(client.signals(after=0), 1)
    rest = await take(client.signals(after=first.seq), 2)
    assert [r.event for r in rest] == published.signals[1:]
    events = client.signals()
    waiting = asyncio.create_task(take(events, 1))
    while not waiting.done():
        await published.send("NEW")
        await asyncio.wait([waiting], timeout=0.1)
    assert (await waiting)[0].event.symbol == "NEW"


async def test_since_a_time_of_publication(client: Connection, published: Published) -> None:
    await published.send("AAPL")
    (first,) = await take(client.signals(after=0), 1)
    await published.send("MSFT")
    later = first.published_at + timedelta(microseconds=1)
    assert [r.event.symbol for r in await take(client.signals(since=later), 1)] == ["MSFT"]


async def test_it_survives_a_kill_of_the_server(
    client: Connection, published: Published, nats_server: Any
) -> None:
    await published.send("AAPL", "MSFT")
    events = client.signals(after=0)
    before = await take(events, 2)
    nats_server.stop(9)
    nats_server.start()
    await published.send("NEXT")
    async with asyncio.timeout(30):
        after = await anext(events)
    assert after.event.symbol == "NEXT"
    assert after.seq == before[-1].seq + 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confidence": 99.0}, "sha256"),
        ({"sha256": "00"}, "expected"),
        ({"prev_sha256": "ff"}, "lacks one"),
    ],
)
async def test_what_was_altered_is_named(
    client: Connection, published: Published, changes: dict[str, Any], message: str
) -> None:
    await published.send("AAPL")
    await published.send("AAPL", **changes)
    with pytest.raises(AlteredError, match=f"0000000000000001.*{message}"):
        await take(client.signals(after=0), 2)
    assert len(await take(client.signals(after=0, verify=False), 2)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"symbol": ""}, "symbol: ''"),
        ({"after": -1}, "after: -1"),
        ({"since": datetime(2026, 1, 1)}, "names no time zone"),  # noqa: DTZ001 - the point of it
        ({"since": datetime.now(UTC), "after": 1}, "both"),
    ],
)
async def test_impossible_arguments_are_named(
    client: Connection, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        await anext(client.signals(**arguments))


async def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.client.connection.CONNECT_WITHIN_S", 0.5)
    with pytest.raises(UnavailableError, match=r"nats://127\.0\.0\.1:1: "):
        await connect("nats://127.0.0.1:1")


async def test_a_message_that_is_no_signal_is_named_and_can_be_passed(
    bus: Bus, client: Connection, published: Published
) -> None:
    await published.send("AAPL")
    await bus.publish([Message(subject=subject_of(0, "ODD"), data=b"[]", msg_id="odd")])
    await published.send("AAPL")
    signals = client.signals(after=0)
    [first] = await take(signals, 1)
    assert first.event == published.signals[0]
    with pytest.raises(UnreadableError, match=r"signal\.0\.ODD, sequence 2: ") as told:
        await take(signals, 1)
    [behind] = await take(client.signals(after=told.value.seq), 1)
    assert (behind.seq, behind.event) == (3, published.signals[1])
