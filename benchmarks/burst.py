"""`burst`: all symbols' one-minute bars at once, all services up: time until every signal is in Postgres.

Beside it, minute by minute in the same run, the bare transport of the same bytes, twice. One hop: the bars
published and acknowledged by a process that does nothing else. The chain: the hops that the services take,
bars to three readers, the same signals from one of them into a stream and from there into Postgres, by
processes that do nothing else (see `bare_chain`).
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from benchmarks import bare, bare_chain
from benchmarks.figures import Figure, quantile, show
from benchmarks.live import Acks, Feed, stack
from benchmarks.market import Market
from nats.aio.msg import Msg
from nats.js import api

from heliograph.common.bus import Bus, Message
from heliograph.common.permissions import OPERATOR
from heliograph.common.shards import DEFAULT_SHARDS
from heliograph.stack.engines.postgres import PostgresEngine
from heliograph.stack.stack import Stack

WARM_MINUTES = 230
QUIET_LOOKS = 3

Batches = Mapping[int, list[Message]]
"""The messages of each shard."""


@contextlib.asynccontextmanager
async def bare_transports(running: Stack, bus: Bus) -> AsyncIterator[None]:
    """The streams and processes of both bare transports."""
    config = api.StreamConfig(name=bare.STREAM, subjects=["bare.hop.*"], allow_direct=True)
    await bus.js.add_stream(config)
    operator = running.state.nats_user(OPERATOR)
    login = [running.urls["nats"], operator.user, operator.password]
    port = running.state.kept().ports["postgres"]
    record = PostgresEngine(running.state, running.state.credentials(), port).owner_url
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.bare", *login)
    try:
        async with bare_chain.chain(bus.js, login, record):
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
    decided, durable, hop, chain, signals = [], [], [], [], 0
    async with stack() as (running, bus), bare_transports(running, bus):
        market, feed, acks = Market(symbols, DEFAULT_SHARDS), Feed(bus), Acks(bus)
        await feed.start()
        await acks.start()
        heard = await listen(bus)
        await warm(feed, market, acks)
        await at_rest(bus)
        for minute in range(WARM_MINUTES, WARM_MINUTES + minutes):
            batches = {shard: [message] for shard, message in market.minute(minute)}
            heard.clear()
            started = time.perf_counter()
            await feed.send(batches)
            decided.append(await acks.reached(feed.goals("consensus")) - started)
            shards = {message.subject.split(".")[1] for message in heard}
            durable.append(max(decided[-1], await settled(bus, shards, acks) - started))
            await at_rest(bus)
            signals += len(heard)
            hop.append(await one_hop(bus, acks, batches))
            await at_rest(bus)
            chain.append(await chained(bus, acks, batches, heard))
            await at_rest(bus)
    return [
        Figure(name="bars a minute, minutes, signals", value=f"{symbols:,} × {minutes}, {signals:,} signals"),
        Figure(name="every signal durable, p50 / p99", value=spread(durable), goal="p99 ≤ 100 ms"),
        Figure(name="of which decided and published, p50 / p99", value=spread(decided)),
        Figure(
            name="to the bare transport over one hop, p50",
            value=ratio(durable, hop),
            beside=f"bare {spread(hop)}",
            goal="≤ 2 ×",
        ),
        Figure(
            name="to the bare transport over the same hops, p50",
            value=ratio(durable, chain),
            beside=f"bare {spread(chain)}",
            goal="≤ 2 ×",
        ),
        Figure(name="the bare hops to the one hop, p50", value=ratio(chain, hop)),
    ]


def spread(seconds: list[float]) -> str:
    """Median and 99th percentile in milliseconds."""
    return f"{1e3 * quantile(seconds, 0.5):.1f} / {1e3 * quantile(seconds, 0.99):.1f} ms"


def ratio(seconds: list[float], beside: list[float]) -> str:
    """How many times the median of others."""
    return f"{quantile(seconds, 0.5) / quantile(beside, 0.5):.2f} ×"


async def one_hop(bus: Bus, acks: Acks, batches: Batches) -> float:
    """Seconds until the bare transport's one process has acknowledged the bars."""
    started = time.perf_counter()
    seq = await publish_bare(bus, "bare.hop", batches)
    return await acks.reached({(bare.STREAM, bare.CONSUMER): seq}) - started


async def chained(bus: Bus, acks: Acks, batches: Batches, heard: Sequence[Msg]) -> float:
    """Seconds until the bare chain has stored the signals that were heard, and copied them into Postgres."""
    signals = bare_chain.by_shard(heard)
    before = (await bus.js.stream_info(bare_chain.SIGNALS)).state.last_seq
    await bare_chain.load(bus.client, signals)
    started = time.perf_counter()
    seq = await publish_bare(bus, "bare.bars", batches)
    goals = {bare_chain.acks_of(bare_chain.BARS, bare_chain.DECIDER): seq}
    if heard:
        goals[bare_chain.acks_of(bare_chain.SIGNALS, bare_chain.RECORD)] = before + len(heard)
    return await acks.reached(goals) - started


async def publish_bare(bus: Bus, root: str, batches: Batches) -> int:
    """Store the same bytes under `<root>.<shard>`; the last sequence."""
    stored = await asyncio.gather(
        *(
            bus.js.publish(f"{root}.{shard}", message.data)
            for shard, batch in batches.items()
            for message in batch
        )
    )
    return max(answer.seq for answer in stored)


async def at_rest(bus: Bus) -> None:
    """Wait until every service has done all that came of the last burst, as it has in a minute."""
    quiet = 0
    while quiet < QUIET_LOOKS:
        await asyncio.sleep(0.2)
        lags = [await bus.lag(stream) for stream in ("INPUT", "SIGNAL", "REASON", "OUTCOME", "SPAN")]
        quiet = 0 if any(any(lag.values()) for lag in lags) else quiet + 1


async def listen(bus: Bus) -> list[Msg]:
    """The signals that have been heard, until it is cleared.

    A signal reaches its subscribers before the acknowledgement of its bars does.
    """
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

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
