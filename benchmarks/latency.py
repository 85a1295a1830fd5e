"""`latency`: from the publication of one symbol's bar to its signal at a NATS subscriber, under load."""

import argparse
import asyncio
import time

import msgspec
import numpy as np
from benchmarks.burst import WARM_MINUTES, warm
from benchmarks.figures import Figure, quantile, show
from benchmarks.live import Acks, Feed, stack
from benchmarks.market import MINUTE_NS, START_NS, Market
from nats.aio.msg import Msg

from heliograph.common.bus import Message
from heliograph.common.events import BarBatch, Signal, encode
from heliograph.common.ids import derive_id
from heliograph.common.shards import DEFAULT_SHARDS, shard_of
from heliograph.common.subjects import bars

DAILY_MOVES = 1
"""Bars that move as much as a day's give signals enough to take a quantile of."""


async def measure(rate: int, seconds: int) -> list[Figure]:
    """Publish single-symbol batches at a steady rate and time each signal that comes of one."""
    symbols = rate
    async with stack() as (_, bus):
        market, feed, acks = Market(symbols, DEFAULT_SHARDS, DAILY_MOVES), Feed(bus), Acks(bus)
        await feed.start()
        await acks.start()
        await warm(feed, market, acks)
        sent: dict[tuple[str, int], float] = {}
        latencies: list[float] = []

        async def arrived(message: Msg) -> None:
            now = time.perf_counter()
            signal = msgspec.json.decode(message.data, type=Signal)
            begun = sent.get((signal.symbol, signal.bar_ts))
            if begun is not None:
                latencies.append(now - begun)

        await bus.client.subscribe("signal.>", cb=arrived)
        names = [name for shard in range(DEFAULT_SHARDS) for name in market.names[shard]]
        rows = np.concatenate([market.rows[shard] for shard in range(DEFAULT_SHARDS)])
        begin = time.perf_counter()
        late = 0
        for number in range(rate * seconds):
            minute, place = divmod(number, symbols)
            due = begin + number / rate
            pause = due - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            late += pause < -0.01
            message = one(market, names[place], int(rows[place]), WARM_MINUTES + minute)
            sent[names[place], START_NS + (WARM_MINUTES + minute) * MINUTE_NS] = time.perf_counter()
            await bus.js.publish_async(message.subject, message.data)
        await bus.js.publish_async_completed()
        await asyncio.sleep(1)
    return [
        Figure(
            name="bars a second, one symbol each",
            value=f"{rate:,}, {len(latencies):,} signals, {late} sent late",
        ),
        Figure(
            name="bar published → signal at a subscriber, p50 / p99",
            value=f"{1e3 * quantile(latencies, 0.5):.1f} / {1e3 * quantile(latencies, 0.99):.1f} ms",
            goal="≤ 3 / ≤ 10 ms",
        ),
    ]


def one(market: Market, name: str, row: int, minute: int) -> Message:
    """The bar of one symbol as a batch of its own."""
    at = (market.begin[row] + minute) % market.paths.shape[1]
    open_, high, low, close, volume = market.paths[market.which[row], at].tolist()
    ts = START_NS + minute * MINUTE_NS
    event = BarBatch(
        id=derive_id("bars", "bench", ts, name),
        ts=ts,
        interval="1m",
        symbols=[name],
        open=[open_],
        high=[high],
        low=[low],
        close=[close],
        volume=[volume],
        source="bench",
    )
    return Message(subject=bars(shard_of(name, DEFAULT_SHARDS)), data=encode(event), msg_id="")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    figures = asyncio.run(measure(options.rate, options.seconds))
    show(
        "latency", figures, f"python -m benchmarks.latency --rate {options.rate} --seconds {options.seconds}"
    )


if __name__ == "__main__":
    main()
