"""Ticks: event time told to a shard between its bars, derived from the data alone."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.bus import Bus
from heliograph.common.config import Settings
from heliograph.common.events import BarBatch, Tick
from heliograph.common.service import Context
from heliograph.common.shards import shard_of
from heliograph.fetcher.service import FetcherService
from heliograph.fetcher.settings import FetcherSettings
from heliograph.fetcher.ticks import due_tick, tick_at

SHARDS = 4
MINUTE = 60 * 10**9
AFTER = 30 * 10**9
_input = msgspec.json.Decoder(BarBatch | Tick)


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_ns(self) -> int:
        return 1_700_000_000 * 10**9

    def monotonic(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("following", "reached", "expected"),
    [
        (None, 99, None),
        (None, 130, 130),
        (None, 500, 130),
        (200, 150, 130),
        (131, 150, 130),
        (130, 150, None),
        (110, 150, None),
    ],
)
def test_a_tick_comes_after_bars_unless_bars_come_before_it(
    following: int | None, reached: int, expected: int | None
) -> None:
    assert due_tick(100, following, reached, 30) == expected


def test_without_a_length_there_are_no_ticks() -> None:
    assert due_tick(100, None, 1 << 62, 0) is None


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20), st.integers(1, 60), st.integers(1, 9))
def test_however_often_one_looks_the_ticks_are_those_of_the_data(
    steps: list[int], after: int, stride: int
) -> None:
    closes = [sum(steps[: n + 1]) for n in range(len(steps))]
    following = [*closes[1:], 1 << 60]
    expected = {c + after for c, then in zip(closes, following, strict=True) if c + after < then}
    found = set()
    for now in range(0, closes[-1] + after + stride + 1, stride):
        position = sum(close <= now for close in closes)
        if position:
            then = closes[position] if position < len(closes) else None
            found.add(due_tick(closes[position - 1], then, now, after))
    found.discard(None)
    assert found <= expected
    if stride == 1:
        assert found == expected
    assert closes[-1] + after in found


def test_its_id_is_that_of_its_shard_and_time() -> None:
    assert tick_at(1, 5, 7) == Tick(id=tick_at(1, 5, 0).id, ts=5, received=7)
    assert len({tick_at(1, 5, 0).id, tick_at(2, 5, 0).id, tick_at(1, 6, 0).id}) == 3


async def test_a_paced_replay_tells_the_time_between_rare_bars(
    bus: Bus,
    nats_settings: Settings,
    folder: Callable[..., Path],
    make_bars: Callable[..., list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Minutes at one second a second: a tick half a minute after each, also after a restart."""
    monkeypatch.setattr("heliograph.fetcher.processor.IDLE_S", 0.01)
    rows = make_bars("AAPL", 3, step=MINUTE)
    shard = shard_of("AAPL", SHARDS)
    settings = FetcherSettings(
        nats_url=nats_settings.nats_url, data=folder({"a.parquet": rows}), shards=SHARDS, speed=1.0
    )
    clock = HandClock()
    context = Context(name="fetcher", member="one", settings=settings, bus=bus, clock=clock)

    async def told(seconds: list[float]) -> list[tuple[str, int]]:
        service = FetcherService()
        await service.start(context)
        processor = service.processor(shard)
        await processor.open()
        for now in seconds:
            clock.seconds = now
            for _ in range(2):
                async with asyncio.timeout(20):
                    await processor.handle("", [])
        await service.stop()
        upto = await bus.last_seq("INPUT")
        read = bus.read("INPUT", f"input.*.{shard}", after=0, upto=upto)
        stored = [_input.decode(message.data) async for message in read]
        assert len({event.id for event in stored}) == len(stored)
        return [(type(event).__name__, (event.ts - rows[0][1]) // 10**9) for event in stored]

    expected = [("BarBatch", 0), ("Tick", 90), ("BarBatch", 60), ("Tick", 150)]
    assert await told([0, 29, 30, 45, 60, 100]) == expected
    # The pace begins anew at the bars that are left.
    assert await told([200]) == [*expected, ("BarBatch", 120)]
    assert await told([300, 331]) == [*expected, ("BarBatch", 120), ("Tick", 210)]
