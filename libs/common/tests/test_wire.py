"""Messages that are handed over as they are read: all of them, in order, with the headers that were sent."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from heliograph.common.bus import Bus
from heliograph.common.wire import READ_SIZE, headers_of

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
SIZES = (0, 1, 40_000, READ_SIZE // 2, READ_SIZE - 10_000, 3)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)


async def test_a_taker_gets_every_message_in_order(bus: Bus, eventually: Eventually) -> None:
    """Also those larger than what is read from the socket at once."""
    got: list[tuple[str, str, bytes, dict[str, str]]] = []
    subscription = await bus.client.hand("wire.>", lambda *message: got.append(message))
    await bus.settled()
    for number, size in enumerate(SIZES):
        data = bytes([number]) * size
        await bus.client.publish(f"wire.{number}", data, reply=f"back.{number}", headers={"n": str(number)})

    async def all_came() -> bool:
        return len(got) == len(SIZES)

    await eventually(all_came)
    assert [(s, r, len(d), h) for s, r, d, h in got] == [
        (f"wire.{n}", f"back.{n}", size, {"n": str(n)}) for n, size in enumerate(SIZES)
    ]
    assert all(data == bytes([n]) * len(data) for n, (_, _, data, _) in enumerate(got))
    await subscription.unsubscribe()
    await bus.client.publish("wire.late", b"")
    await bus.settled()
    assert len(got) == len(SIZES)


async def test_other_subscriptions_keep_their_callbacks(bus: Bus, eventually: Eventually) -> None:
    """A taker on one subject takes nothing from a callback on another."""
    taken: list[str] = []
    called: list[str] = []

    async def called_back(message: object) -> None:
        called.append(getattr(message, "subject", ""))

    await bus.client.hand("wire.taken", lambda subject, *_: taken.append(subject))
    await bus.client.subscribe("wire.called", cb=called_back)
    await bus.settled()
    await asyncio.gather(*(bus.client.publish(f"wire.{kind}", b"") for kind in ("taken", "called")))

    async def both_came() -> bool:
        return taken == ["wire.taken"] and called == ["wire.called"]

    await eventually(both_came)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"NATS/1.0\r\n\r\n", {}),
        (b"NATS/1.0\r\na: 1\r\nb:2\r\n\r\n", {"a": "1", "b": "2"}),
        (b"NATS/1.0\r\nurl: nats://host:4222\r\n\r\n", {"url": "nats://host:4222"}),
        (b"NATS/1.0 503\r\n\r\n", {"Status": "503"}),
        (
            b"NATS/1.0 423 Pin lost\r\n\r\n",
            {"Status": "423", "Description": "Pin lost"},
        ),
        (
            b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 7\r\n\r\n",
            {"Status": "100", "Description": "Idle Heartbeat", "Nats-Last-Consumer": "7"},
        ),
        (b"NATS/1.0\r\nbroken \xff\r\nkept: yes\r\n\r\n", {"kept": "yes"}),
    ],
)
def test_headers_by_hand(raw: bytes, expected: dict[str, str]) -> None:
    """Each shape that the server sends."""
    assert headers_of(raw) == expected


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=5))
def test_headers_are_those_of_the_library(headers: dict[str, str]) -> None:
    """What is read here is what the library reads."""
    raw = b"NATS/1.0\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in headers.items()) + b"\r\n"
    assert headers_of(raw) == asyncio.run(Client()._process_headers(raw))
