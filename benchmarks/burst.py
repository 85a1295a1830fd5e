"""`burst`: all symbols' one-minute bars at once, all services up: time until every signal is in Postgres.

Beside it, minute by minute in the same run, the bare transport of the same bytes: published in the same way
and acknowledged by a process that does nothing else.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterable

from benchmarks import bare
from benchmarks.figures import Figure, quantile, show
from benchmarks.live import Acks, Feed, stack
from benchmarks.market import Market
from nats.aio.msg import Msg
from nats.js import api

from heliograph.common.bus import Bus, Message
from heliograph.common.permissions import OPERATOR
from heliograph.common.shards import DEFAULT_SHARDS
from heliograph.stack.stack import Stack

WARM_MINUTES = 230
QUIET_LOOKS = 3


@contextlib.asynccontextmanager
async def bare_consumer(running: Stack, bus: Bus) -> AsyncIterator[None]:
    """The bare transport's stream and its one process."""
    config = api.StreamConfig(name=bare.STREAM, subjects=["bare.*"], allow_atomic=True, allow_direct=True)
    await bus.js.add_stream(config)
    operator = running.state.nats_user(OPERATOR)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.bare",
        running.urls["nats"],
        operator.user,
        operator.password,
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def warm(feed: Feed, market: Market, acks: Acks) -> None:
    """Give every symbol the history that its indicators need."""
    for start in range(0, WARM_MINUTES, 10):
        batches: dict[int, list[Message]] = {shard: [] for shard in range(DEFAULT_SHARDS)}
        for minute in range(start, start + 10):
            for shard, message in market.minute(minute):
                batches[shard].append(message)
        await feed.send({shard: batch for shard, batch in batches.items() if batch})
    await acks.reached(feed.goals("consensus"), timeout=300)


async def measure(symbols: int, minutes: int) -> list[Figure]:
    """Run the benchmark."""
    async with stack() as (running, bus), bare_consumer(running, bus):
        market, feed, acks = Market(symbols, DEFAULT_SHARDS), Feed(bus), Acks(bus)
        await feed.start()
        await acks.start()
        spoken = await speakers(bus)
        await warm(feed, market, acks)
        await at_rest(bus)
        before = await bus.last_seq("SIGNAL")
        durable, decided, transport, bare_seq = [], [], [], 0
        for minute in range(WARM_MINUTES, WARM_MINUTES + minutes):
            batches = {shard: [message] for shard, message in market.minute(minute)}
            spoken.clear()
            started = time.perf_counter()
            await feed.send(batches)
            decided.append(await acks.reached(feed.goals("consensus")) - started)
            durable.append(max(decided[-1], await settled(bus, spoken, acks) - started))
            await at_rest(bus)
            bare_batch = [
                Message(subject=f"bare.{shard}", data=batch[0].data, msg_id="")
                for shard, batch in batches.items()
            ]
            started = time.perf_counter()
            seqs = await asyncio.gather(*(publish_bare(bus, message) for message in bare_batch))
            bare_seq = max(seqs)
            transport.append(await acks.reached({(bare.STREAM, bare.CONSUMER): bare_seq}) - started)
        signals = await bus.last_seq("SIGNAL") - before
    ratio = quantile(durable, 0.5) / quantile(transport, 0.5)
    return [
        Figure(name="bars a minute, minutes, signals", value=f"{symbols:,} × {minutes}, {signals:,} signals"),
        Figure(
            name="every signal durable, p50 / p99",
            value=f"{1e3 * quantile(durable, 0.5):.1f} / {1e3 * quantile(durable, 0.99):.1f} ms",
            beside=f"bare {1e3 * quantile(transport, 0.5):.1f} / {1e3 * quantile(transport, 0.99):.1f} ms",
            goal="p99 ≤ 100 ms",
        ),
        Figure(name="ratio to the bare transport, p50", value=f"{ratio:.2f} ×", goal="≤ 2 ×"),
        Figure(
            name="of which decided and published, p50 / p99",
            value=f"{1e3 * quantile(decided, 0.5):.1f} / {1e3 * quantile(decided, 0.99):.1f} ms",
        ),
    ]


async def publish_bare(bus: Bus, message: Message) -> int:
    """Store one message of the bare transport."""
    return (await bus.js.publish(message.subject, message.data)).seq


async def at_rest(bus: Bus) -> None:
    """Wait until every service has done all that came of the last burst, as it has in a minute."""
    quiet = 0
    while quiet < QUIET_LOOKS:
        await asyncio.sleep(0.2)
        lags = [await bus.lag(stream) for stream in ("INPUT", "SIGNAL", "REASON", "OUTCOME", "SPAN")]
        quiet = 0 if any(any(lag.values()) for lag in lags) else quiet + 1


async def speakers(bus: Bus) -> set[str]:
    """The shards whose signals have been heard, until it is cleared.

    A signal reaches its subscribers before the acknowledgement of its bars does.
    """
    heard: set[str] = set()

    async def hear(message: Msg) -> None:
        heard.add(message.subject.split(".")[1])

    await bus.client.subscribe("signal.>", cb=hear)
    return heard


async def settled(bus: Bus, shards: Iterable[str], acks: Acks) -> float:
    """Wait until the tracker has made every signal of some shards durable; when the last one was."""
    goals: dict[tuple[str, str], int] = {}
    spoken = sorted(shards)
    for shard, last in zip(
        spoken, await asyncio.gather(*(bus.last("SIGNAL", f"signal.{s}.>") for s in spoken)), strict=True
    ):
        if last:
            goals["SIGNAL", f"tracker-{shard}-signals"] = last.seq
    return await acks.reached(goals) if goals else 0.0


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=11_000)
    parser.add_argument("--minutes", type=int, default=100)
    options = parser.parse_args()
    figures = asyncio.run(measure(options.symbols, options.minutes))
    show(
        "burst",
        figures,
        f"python -m benchmarks.burst --symbols {options.symbols} --minutes {options.minutes}",
    )


if __name__ == "__main__":
    main()
