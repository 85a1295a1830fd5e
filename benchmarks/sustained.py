"""`sustained`: bars a second through the bus and the decision core, from few symbols to many."""

import argparse
import asyncio
import time

from benchmarks.figures import Figure, show
from benchmarks.live import Acks, Feed, stack
from benchmarks.market import Market

from heliograph.common.bus import Message
from heliograph.common.shards import DEFAULT_SHARDS

SIZES = (100, 1_000, 11_000)
CHUNK_MINUTES = 20


async def measure(bars: int) -> list[Figure]:
    """One stack for each size: publish about `bars` bars as fast as they are taken."""
    figures = []
    for symbols in SIZES:
        async with stack() as (_, bus):
            market, feed, acks = Market(symbols, DEFAULT_SHARDS), Feed(bus), Acks(bus)
            await feed.start()
            await acks.start()
            minutes = max(CHUNK_MINUTES, min(4_000, bars // symbols))
            batches: list[dict[int, list[Message]]] = []
            for start in range(0, minutes, CHUNK_MINUTES):
                chunk: dict[int, list[Message]] = {}
                for minute in range(start, min(start + CHUNK_MINUTES, minutes)):
                    for shard, message in market.minute(minute):
                        chunk.setdefault(shard, []).append(message)
                batches.append(chunk)
            started = time.perf_counter()
            for chunk in batches:
                await feed.send(chunk)
            published = time.perf_counter() - started
            decided = await acks.reached(feed.goals("consensus"), timeout=600) - started
            everywhere = max(
                decided,
                *[await acks.reached(feed.goals(s), timeout=600) - started for s in ("tracker", "archiver")],
            )
            total = symbols * minutes
            figures.append(
                Figure(
                    name=f"{symbols:,} symbols, {total:,} bars",
                    value=f"{total / decided:,.0f} bars/s decided",
                    beside=f"published {total / published:,.0f}/s; in all stores {total / everywhere:,.0f}/s",
                    goal="≥ 500,000 bars/s",
                )
            )
    return figures


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=3_000_000)
    options = parser.parse_args()
    show(
        "sustained",
        asyncio.run(measure(options.bars)),
        f"python -m benchmarks.sustained --bars {options.bars}",
    )


if __name__ == "__main__":
    main()
