"""`reasons`: calls and dollars of a day of reasons, and how quickly a reason comes from the cache.

A session of one-minute bars of 40 symbols goes through the decision core. Each evaluation asks for a reason,
as a platform does that explains everything; then with the cache of explanations; then only where there is an
entry that is not clear by itself. The model server answers, with the prices and the limits of the default
providers. Time is event time, so that the hour of the cache and the minute of the limits are the day's.
"""

import argparse
import asyncio
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
from benchmarks.figures import Figure, quantile, show
from benchmarks.market import MINUTES_A_SESSION, Market
from redis.asyncio import Redis
from redis.exceptions import RedisError

from heliograph.common.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from heliograph.common.events import BarBatch, Signal
from heliograph.common.spend.usage import Usage
from heliograph.consensus.engine.engine import Engine
from heliograph.consensus.engine.rules import Rules
from heliograph.reasoning.model_server.faults import Faults
from heliograph.reasoning.model_server.server import ModelServer
from heliograph.reasoning.models.build import BuiltModels, build
from heliograph.reasoning.narration.service import Narration
from heliograph.reasoning.settings import ReasoningSettings

WARM_MINUTES = 260
TOKENS = 60
"""Of a reply: two sentences."""
PROVIDERS = ("glm", "deepseek", "qwen")
ORIGINAL_DOLLARS = 50.0
NEXT_BAR_DAYS = 1 / (24 * 60)
"""An expiry so short that the next bar may give a signal again: every evaluation is seen."""


class EventClock:
    """A clock that stands at the event time it was told."""

    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        """Event time."""
        return self.ns

    def monotonic(self) -> float:
        """Event time in seconds."""
        return self.ns / NANOSECONDS


def session(symbols: int, rules: Rules) -> Iterator[list[Signal]]:
    """The evaluations of each minute of one session, after a warm-up."""
    market, engine = Market(symbols, 1), Engine(rules=rules)
    decoder = msgspec.json.Decoder(BarBatch)
    for minute in range(WARM_MINUTES + MINUTES_A_SESSION):
        found = [
            signal
            for _, message in market.minute(minute)
            for signal in engine.apply(decoder.decode(message.data), minute + 1)
        ]
        if minute >= WARM_MINUTES:
            yield found


@contextlib.asynccontextmanager
async def narration(
    server: ModelServer, clock: Clock, when: str, redis_url: str = ""
) -> AsyncIterator[tuple[Narration, BuiltModels]]:
    """Reasons by the default providers, all of them on the model server."""
    settings = ReasoningSettings(
        models=list(PROVIDERS),
        providers={name: {"base_url": server.base_url(name)} for name in PROVIDERS},
        reason_models=when,
        redis_url=redis_url,
    )

    async def one() -> int:
        return 1

    keys = {f"{name.upper()}_API_KEY": "benchmark-key" for name in PROVIDERS}
    models = build(settings, clock, one, keys)
    made = Narration(settings, models, Usage(None, clock), clock)
    yield made, models
    await made.close()
    await models.close()


class Day(msgspec.Struct):
    """What a day of reasons took: calls with hedges and failures, and US dollars as settled."""

    evaluations: int
    reasons: int
    calls: int
    dollars: float


async def day(minutes: list[list[Signal]], when: str) -> Day:
    """Ask for the reasons of a day's evaluations."""
    server = ModelServer(Faults(tokens=TOKENS))
    await server.start()
    clock = EventClock()
    reasons = 0
    async with narration(server, clock, when) as (narrator, models):
        for signals in minutes:
            if signals:
                clock.ns = signals[0].ts
                reasons += len(await narrator.reasons(signals))
        spent = {calls.provider.name: models.spend.spent(calls.meter) for calls in models.calls}
    await server.stop()
    return Day(sum(map(len, minutes)), reasons, len(server.calls), sum(spent.values()) / NANOSECONDS)


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """A redis-server of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    binary = str(Path(sys.executable).with_name("redis-server"))
    with tempfile.TemporaryDirectory() as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(10)


async def from_cache(signal: Signal, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of each reason that comes from memory, and of each that comes from Redis."""
    server = ModelServer(Faults(tokens=TOKENS))
    await server.start()
    memory: list[float] = []
    shared: list[float] = []
    with redis_server() as url:
        client = Redis.from_url(url)
        while True:
            with contextlib.suppress(RedisError):
                await client.ping()
                break
            await asyncio.sleep(0.02)
        async with narration(server, SYSTEM_CLOCK, "always", url) as (narrator, _):
            assert await narrator.reasons([signal])
            for _ in range(rounds):
                begun = time.perf_counter()
                (reason,) = (await narrator.reasons([signal])).values()
                memory.append(time.perf_counter() - begun)
                assert reason.cached
            for _ in range(rounds):
                # What another replica of the service finds: nothing in its memory.
                narrator._narrator._cache._memory.clear()  # noqa: SLF001 - as said
                begun = time.perf_counter()
                (reason,) = (await narrator.reasons([signal])).values()
                shared.append(time.perf_counter() - begun)
                assert reason.cached
        await client.aclose()
    await server.stop()
    return memory, shared


async def measure(symbols: int, rounds: int) -> list[Figure]:
    """All figures."""
    everything = list(session(symbols, Rules(gate=0, expiry_days=NEXT_BAR_DAYS)))
    entries = list(session(symbols, Rules(expiry_days=NEXT_BAR_DAYS)))
    cached = await day(everything, "always")
    price, asked = cached.dollars / cached.calls, cached.evaluations
    figures = [
        Figure(
            name=f"{symbols} symbols, {MINUTES_A_SESSION} minutes: a call for each evaluation",
            value=f"{asked:,} calls, ${asked * price:.2f}",
            beside=f"the original's ${ORIGINAL_DOLLARS:.0f}",
        )
    ]
    for name, found in (("cache", cached), ("conditional and cache", await day(entries, "between"))):
        hits = 1 - found.calls / found.reasons
        figures.append(
            Figure(
                name=name,
                value=f"{found.calls:,} calls, ${found.dollars:.2f}; {found.reasons:,} reasons by models for "
                f"{found.evaluations:,} evaluations, {hits:.1%} hits",
                beside=f"${ORIGINAL_DOLLARS * found.calls / asked:.2f} of the ${ORIGINAL_DOLLARS:.0f}",
                goal="≥ 80 % hits, ≤ $20",
            )
        )
    signal = next(signal for signals in entries for signal in signals)
    memory, shared = await from_cache(signal, rounds)
    figures += [
        Figure(
            name=f"reason from the cache, {where}, p50 / p99",
            value=f"{1e3 * quantile(times, 0.5):.3f} / {1e3 * quantile(times, 0.99):.3f} ms",
        )
        for where, times in (("memory", memory), ("Redis", shared))
    ]
    return figures


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5_000)
    options = parser.parse_args()
    figures = asyncio.run(measure(options.symbols, options.rounds))
    show(
        "reasons",
        figures,
        f"python -m benchmarks.reasons --symbols {options.symbols} --rounds {options.rounds}",
    )


if __name__ == "__main__":
    main()
