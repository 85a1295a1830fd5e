"""Live bars end to end: what a provider sends becomes the signals that the same bars give to the engine."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from tests.kraken_server import MINUTE_S, Bar, KrakenServer, candle, update

from heliograph.common.bus import Bus
from heliograph.common.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from heliograph.common.config import Settings
from heliograph.common.events import BarBatch, Signal
from heliograph.common.ids import derive_id
from heliograph.common.service import Context
from heliograph.common.sharing import Sharing
from heliograph.consensus.engine import Engine
from heliograph.consensus.service import ConsensusService
from heliograph.consensus.settings import ConsensusSettings
from heliograph.fetcher.service import FetcherService
from heliograph.fetcher.settings import FetcherSettings

BTC = "BTC/USD"
PAST, MISSED, LIVE = 500, 20, 200
"""Minutes that REST has at the start, that pass while the connection is lost, and that the stream tells."""
FIRST_S = 1_699_977_600
Eventually = Callable[..., Awaitable[Any]]


class WallClock:
    """Wall time as the test sets it; the other one goes by."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def now_ns(self) -> int:
        return self.seconds * NANOSECONDS

    def monotonic(self) -> float:
        return time.monotonic()


def prices(sample: Path) -> list[Bar]:
    """Real bars of Bitcoin, hours of 2017; here each stands for a minute."""
    columns = pq.read_table(sample / "btcusd_hourly.parquet").slice(5000, PAST + MISSED + LIVE).to_pydict()
    names = ("open", "high", "low", "close", "volume")
    return list(zip(*(columns[name] for name in names), strict=True))


def batch(start_s: int, values: Bar, received: int = 0) -> BarBatch:
    """What the fetcher makes of a minute."""
    opened, high, low, close, volume = ([value] for value in values)
    ts = start_s * NANOSECONDS
    return BarBatch(
        id=derive_id("bars", "kraken", "1m", ts, BTC),
        ts=ts,
        received=received,
        interval="1m",
        symbols=[BTC],
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume,
        source="kraken",
    )


@contextlib.asynccontextmanager
async def running(
    service: FetcherService | ConsensusService, settings: Settings, clock: Clock
) -> AsyncIterator[None]:
    """A service as its process runs it."""
    bus = await Bus.connect(settings, service.name)
    context = Context(name=service.name, member=service.name, settings=settings, bus=bus, clock=clock)
    await service.start(context)
    sharing = Sharing(bus, service, service.name, settings, lambda: None)
    task = asyncio.create_task(sharing.run())
    try:
        yield
    finally:
        task.cancel()
        await sharing.stop()
        await service.stop()
        await bus.close()


@pytest.fixture
async def kraken() -> AsyncIterator[KrakenServer]:
    """One that speaks as Kraken does."""
    made = KrakenServer()
    await made.start()
    yield made
    await made.stop()


async def stored(bus: Bus, stream: str, subject: str, kind: Any) -> list[Any]:
    """Everything of a stream, in order."""
    upto = await bus.last_seq(stream)
    found = [m async for m in bus.read(stream, subject, after=0, upto=upto)]
    return [msgspec.json.decode(m.data, type=kind) for m in found]


async def test_live_minutes_give_the_signals_that_the_engine_gives(
    kraken: KrakenServer,
    bus: Bus,
    nats_settings: Settings,
    sample: Path,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("heliograph.fetcher.live.feed.PAUSE_MAX_S", 0.1)
    minutes = [(FIRST_S + n * MINUTE_S, values) for n, values in enumerate(prices(sample))]
    past, missed, live = minutes[:PAST], minutes[PAST : PAST + MISSED], minutes[PAST + MISSED :]
    for minute in past:
        kraken.happened(BTC, *minute)
    clock = WallClock(missed[0][0] + 5)
    shared: dict[str, Any] = {
        "nats_url": nats_settings.nats_url,
        "shards": 2,
        "heartbeat_s": 0.1,
        "member_ttl_s": 5.0,
    }
    fetching = FetcherSettings(
        provider="kraken",
        symbols=(BTC,),
        kraken_rest_url=f"http://{kraken.host}",
        kraken_stream_url=f"ws://{kraken.host}/v2",
        kraken_rate=1000,
        settle_s=0.05,
        tick_s=0,
        **shared,
    )
    fetcher, consensus = FetcherService(), ConsensusService()

    async def follows() -> bool:
        status = await fetcher.status()
        return bool(status["connected"] and status["symbols"] and not status["filling"])

    def has(count: int) -> Callable[[], Awaitable[bool]]:
        async def check() -> bool:
            return bool((await fetcher.status())["bars_published"] == count)

        return check

    async with (
        running(consensus, ConsensusSettings(**shared), SYSTEM_CLOCK),
        running(fetcher, fetching, clock),
    ):
        await eventually(follows)
        await eventually(has(PAST))
        for minute in missed:
            kraken.happened(BTC, *minute)  # Nobody hears of these.
        clock.seconds = live[0][0] + 5
        await kraken.drop()
        await eventually(has(PAST + MISSED))
        await eventually(follows)
        clock.seconds = live[-1][0] + 30
        for start, values in live:
            # A candle comes again while it changes: at first with its open alone.
            opened = (values[0], values[0], values[0], values[0], 0.1)
            await kraken.send(update(candle(BTC, start, opened), candle(BTC, start, values)))
        # The last minute has not ended, and no later one has come.
        await eventually(has(len(minutes) - 1))
        clock.seconds += MINUTE_S
        await eventually(has(len(minutes)))

        async def decided() -> bool:
            return bool((await consensus.status())["bars"] == len(minutes))

        await eventually(decided)
        status = await fetcher.status()
        assert (status["gaps"], status["quarantined"]) == (0, {})
        found: list[Signal] = await stored(bus, "SIGNAL", "signal.>", Signal)
        published: list[BarBatch] = await stored(bus, "INPUT", "input.bars.*", BarBatch)

    assert [msgspec.structs.replace(b, received=0) for b in published] == [batch(*m) for m in minutes]
    engine = Engine()
    expected = [s for seq, b in enumerate(published, 1) for s in engine.apply(b, seq)]
    assert found == expected
    live_from = live[0][0] * NANOSECONDS
    assert sum(s.ts > live_from for s in found) > 5
    assert sum(s.ts <= live_from for s in found) > 5
