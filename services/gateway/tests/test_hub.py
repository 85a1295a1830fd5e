"""The hub: frames are bounded, shared, in order, and say what they left out."""

import asyncio
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.gateway.hub import KINDS, Client, Filter, Hub, Window

FRAME = 5
QUEUE = 3


@pytest.fixture
def hub() -> Hub:
    return Hub(frames_per_s=100, frame_messages=FRAME, queue_frames=QUEUE, clients=3)


def join(hub: Hub, symbol: str | None = None) -> Client:
    client = hub.join(Filter(symbol=symbol))
    assert client is not None
    return client


async def taken(client: Client) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(await asyncio.wait_for(client.next(), 30))
    return found


@given(st.lists(st.lists(st.integers(0, 999), max_size=12), max_size=8), st.integers(1, 6))
def test_a_window_keeps_the_newest_and_counts_the_rest(rounds: list[list[int]], limit: int) -> None:
    window = Window(limit)
    for numbers in rounds:
        for number in numbers:
            window.add(b"%d" % number)
        frame = window.take()
        if not numbers:
            assert frame is None
            continue
        assert frame is not None
        skipped = max(0, len(numbers) - limit)
        told = [{"type": "skipped", "data": {"count": skipped}}] if skipped else []
        assert json.loads(frame[0]) == told + numbers[-limit:]
        assert frame[1] == skipped


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=30), st.integers(1, 100))
def test_a_window_is_bounded_in_bytes_and_keeps_the_newest(blobs: list[bytes], limit: int) -> None:
    window = Window(1000, limit)
    for blob in blobs:
        window.add(blob.hex().encode())
    taken = window.take()
    assert taken is not None
    frame, skipped = taken
    kept = [blob.hex().encode() for blob in blobs[skipped:]]
    assert frame.endswith(b",".join(kept) + b"]")
    assert len(kept) == 1 or sum(map(len, kept)) <= limit


async def test_clients_of_one_filter_share_one_frame(hub: Hub) -> None:
    first, second, other = join(hub), join(hub), join(hub, "B")
    hub.publish("signal", "A", b'{"n":1}')
    hub.publish("signal", "B", b'{"n":2}')
    hub.flush()
    frames = [await c.next() for c in (first, second, other)]
    assert frames[0] is frames[1]
    assert json.loads(frames[0]) == [
        {"type": "signal", "data": {"n": 1}},
        {"type": "signal", "data": {"n": 2}},
    ]
    assert json.loads(frames[2]) == [{"type": "signal", "data": {"n": 2}}]


async def test_a_client_that_takes_nothing_is_dropped_and_holds_nothing(hub: Hub) -> None:
    slow, fast = join(hub), join(hub)
    for number in range(QUEUE + 4):
        hub.publish("signal", "A", b"%d" % number)
        hub.flush()
        assert (await taken(fast))[0]["data"] == number
    assert slow.dropped.is_set()
    assert not slow._frames
    hub.leave(slow)  # as its connection does once it has ended
    assert (hub.dropped, hub.clients) == (1, 1)


async def test_a_thousand_clients_share_each_frame_and_a_slow_one_holds_no_more_than_its_queue() -> None:
    hub = Hub(frames_per_s=100, frame_messages=FRAME, queue_frames=QUEUE, clients=1_001)
    slow, *fast = [join(hub) for _ in range(1_001)]
    for number in range(QUEUE + 2):
        hub.publish("signal", "A", b"%d" % number)
        hub.flush()
        frames = {id(frame) for frame in [await client.next() for client in fast]}
        assert len(frames) == 1, "one frame, encoded once, for all who want the same"
        assert len(slow._frames) <= QUEUE
    assert slow.dropped.is_set()
    assert (hub.dropped, hub.clients) == (1, 1_000)


async def test_events_cost_nothing_while_nobody_listens(hub: Hub) -> None:
    client = join(hub, "A")
    hub.leave(client)
    hub.publish("signal", "A", b"1")
    assert hub.events == 1
    assert not hub._groups
    late = join(hub, "A")
    hub.flush()
    assert not late._frames


async def test_an_event_reaches_those_who_want_it_and_no_other() -> None:
    hub = Hub(frames_per_s=100, frame_messages=FRAME, queue_frames=QUEUE, clients=9)
    wishes = {
        "all": Filter(),
        "symbol": Filter(symbol="A"),
        "run": Filter(kinds=frozenset(KINDS), run="r1"),
        "other": Filter(kinds=frozenset(KINDS), symbol="B"),
    }
    clients = {name: hub.join(wanted) for name, wanted in wishes.items()}
    for kind, symbol, run in (
        ("signal", "A", ""),
        ("verdict", "A", "r1"),
        ("verdict", "B", "r2"),
        ("alert", "", ""),
    ):
        hub.publish(kind, symbol, msgspec.json.encode(kind + run), run)
    hub.flush()
    got = {name: [m["data"] for m in await taken(client)] for name, client in clients.items() if client}
    assert got == {
        "all": ["signal"],
        "symbol": ["signal"],
        "run": ["signal", "verdictr1", "alert"],
        "other": ["verdictr2", "alert"],
    }


async def test_one_client_more_than_allowed_is_refused(hub: Hub) -> None:
    clients = [join(hub) for _ in range(3)]
    assert hub.join(Filter()) is None
    hub.leave(clients[0])
    assert hub.join(Filter()) is not None


async def test_frames_come_at_most_as_often_as_allowed() -> None:
    hub = Hub(frames_per_s=50, frame_messages=10_000, queue_frames=1000, clients=1)
    client = join(hub)
    running = asyncio.create_task(hub.run())
    loop = asyncio.get_running_loop()
    began = loop.time()
    sent = 0
    while loop.time() - began < 0.5:
        hub.publish("signal", "A", b"%d" % sent)
        sent += 1
        await asyncio.sleep(0)
    took = loop.time() - began
    frames: list[list[dict[str, object]]] = []
    while sum(map(len, frames)) < sent:
        frames.append(await taken(client))
    running.cancel()
    assert [m["data"] for frame in frames for m in frame] == list(range(sent))
    assert 1 <= len(frames) <= took * 50 + 3
