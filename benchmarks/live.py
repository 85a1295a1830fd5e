"""A whole stack for a measurement: every engine and service up, the fetcher idle, the feed ours."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from nats.aio.msg import Msg

from heliograph.common.bus import ATOMIC_LIMIT, Bus, Message
from heliograph.common.shards import DEFAULT_SHARDS
from heliograph.stack.options import Options
from heliograph.stack.settle import wait_until_idle
from heliograph.stack.stack import Stack
from heliograph.stack.state import State


@contextlib.asynccontextmanager
async def stack(replicas: int = 1) -> AsyncIterator[tuple[Stack, Bus]]:
    """A stack on a temporary folder that has replayed one single bar and waits for more."""
    with TemporaryDirectory(prefix="heliograph-bench-") as folder:
        data = Path(folder) / "data"
        data.mkdir()
        one = {"symbol": ["IDLE"], "ts": pa.array([0], pa.timestamp("ns", "UTC"))}
        prices = {name: [1.0] for name in ("open", "high", "low", "close", "volume")}
        pq.write_table(pa.table({**one, **prices}), data / "idle.parquet")
        options = Options(data=data, speed=None, replicas=replicas)
        async with Stack(State(Path(folder) / "state"), options) as running:
            bus = await running.connect()
            try:
                await wait_until_idle(bus, running.shards, lambda _: None)
                yield running, bus
            finally:
                await bus.close()


class Feed:
    """Publishes as a fetcher does: in order, guarded, each shard by itself."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._last: dict[int, int] = {}

    async def start(self) -> None:
        """Find where each shard stands."""
        for shard in range(DEFAULT_SHARDS):
            last = await self._bus.last("INPUT", f"input.bars.{shard}")
            self._last[shard] = last.seq if last else 0

    def goals(self, service: str) -> dict[tuple[str, str], int]:
        """What a service's consumers have acknowledged when they have taken everything sent."""
        return {("INPUT", f"{service}-{shard}-bars"): seq for shard, seq in self._last.items() if seq}

    async def send(self, messages: dict[int, list[Message]]) -> None:
        """Publish some messages of each shard; returns when all are stored."""
        await asyncio.gather(*(self._send(shard, batch) for shard, batch in messages.items()))

    async def _send(self, shard: int, batch: list[Message]) -> None:
        for start in range(0, len(batch), ATOMIC_LIMIT):
            part = batch[start : start + ATOMIC_LIMIT]
            self._last[shard] = await self._bus.append(
                part, last_seq=self._last[shard], guard=part[0].subject, timeout=30
            )


class Acks:
    """Hears every acknowledgement: the moment when a consumer's results became durable."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._changed = asyncio.Event()
        self.acked: dict[tuple[str, str], int] = defaultdict(int)
        self.at: dict[tuple[str, str], float] = {}

    async def start(self) -> None:
        """Listen to the acknowledgements."""

        async def acknowledged(message: Msg) -> None:
            _, _, stream, consumer, _, seq, *_ = message.subject.split(".")
            key = (stream, consumer)
            self.acked[key] = max(self.acked[key], int(seq))
            self.at[key] = time.perf_counter()
            self._changed.set()

        await self._bus.client.subscribe("$JS.ACK.>", cb=acknowledged)

    async def reached(self, goals: dict[tuple[str, str], int], timeout: float = 120) -> float:
        """Wait until each consumer has acknowledged its goal; when the last of them did."""
        async with asyncio.timeout(timeout):
            while any(self.acked[key] < goal for key, goal in goals.items()):
                self._changed.clear()
                await self._changed.wait()
        return max(self.at[key] for key in goals)
