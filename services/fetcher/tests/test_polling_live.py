"""Polling in a running fetcher, on the real NATS server: the past by history, then minutes as they close."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.massive_server import KEY, MINUTE_MS

from heliograph.common.bus import Bus
from heliograph.common.config import Settings
from heliograph.fetcher.settings import FetcherSettings

from .test_live import T0, Fetcher, WallClock, assert_once_and_in_order, bars, minutes, published
from .test_polling_massive import SnapshotServer

SHARDS = 4
SYMBOLS = ("AAPL", "MSFT")
PAST = 5
"""Minutes before the start."""


@pytest.fixture
def clock() -> WallClock:
    return WallClock(T0 + PAST * MINUTE_MS + 5_000)


@pytest.fixture
async def server(clock: WallClock) -> AsyncIterator[SnapshotServer]:
    made = SnapshotServer(clock)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def fetcher(
    bus: Bus, nats_settings: Settings, server: SnapshotServer, clock: WallClock
) -> AsyncIterator[Fetcher]:
    settings = FetcherSettings(
        nats_url=nats_settings.nats_url,
        provider="massive-polling",
        symbols=SYMBOLS,
        massive_api_key=KEY,
        massive_rest_url=f"http://{server.host}",
        massive_rate=1000,
        massive_burst=1000,
        look_back_days=1.0,
        settle_s=0.05,
        poll_high_s=0.05,
        poll_medium_s=0.05,
        shards=SHARDS,
        heartbeat_s=0.1,
        member_ttl_s=1.0,
    )
    made = Fetcher(settings, "m0", clock)
    await made.start()
    yield made
    await made.stop()


def looked_since(server: SnapshotServer, asked: int) -> Callable[[], Awaitable[bool]]:
    """Whether a look was sent after so many requests, and another one after it."""

    async def looked() -> bool:
        return sum("/snapshot/" in path for path in server.asked[asked:]) > 1

    return looked


async def test_polled_minutes_reach_the_stream_once_complete_and_in_order(
    bus: Bus,
    fetcher: Fetcher,
    server: SnapshotServer,
    clock: WallClock,
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    await eventually(fetcher.follows)
    for number in range(PAST, PAST + 3):
        # Half over, over but not settled, and settled, with the next one forming.
        for second in (30, 61, 63):
            clock.ms = T0 + number * MINUTE_MS + second * 1000
            await eventually(looked_since(server, len(server.asked)))

        async def told(end: int = number + 1) -> bool:
            return len(await bars(bus)) >= end * len(SYMBOLS)

        await eventually(told)
    assert_once_and_in_order(await bars(bus), minutes(0, PAST + 3, SYMBOLS))
    batches = [batch for _, batch in await published(bus)]
    assert {batch.source for batch in batches} == {"massive-polling"}
    assert {volume for batch in batches for volume in batch.volume} == {500.0}
    assert (await fetcher.status())["health"] == "healthy"
