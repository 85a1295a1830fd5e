"""Time of one bar in the decision core, by symbols in a batch: `python -m benchmarks.kernel`."""

import os
import platform
import sys
import time
import tracemalloc
from collections.abc import Callable

import msgspec
import numpy as np

from heliograph.common.events import BarBatch, encode
from heliograph.common.intervals import interval_ns
from heliograph.consensus.engine import Engine, warm
from heliograph.consensus.engine.kernel import step
from heliograph.consensus.engine.layout import DECISION, Floats
from heliograph.consensus.engine.sources import PATTERN

SIZES = (1, 10, 100, 690, 1_000, 11_000)
INTERVAL = "1m"
WARM_UP = 260
MANY = 16_000
"""Symbols of which the memory is taken; arrays grow by doubling, and are then all but full."""
COLUMNS = ("open", "high", "low", "close", "volume")


def market(symbols: int, bars: int) -> Floats:
    """One-minute random walks; shape (bars, 5, symbols)."""
    random = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.0008, (bars, symbols)), axis=0))
    open_ = close * (1 + random.normal(0, 0.0002, close.shape))
    wick = close * 0.0003
    high, low = np.maximum(open_, close) + wick, np.minimum(open_, close) - wick
    return np.stack([open_, high, low, close, random.lognormal(10, 1, close.shape)], axis=1)


def messages(symbols: int, bars: Floats) -> list[bytes]:
    """The same bars as they travel."""
    names = [f"SYM{n}" for n in range(symbols)]
    return [
        encode(
            BarBatch(
                id=f"{n:016x}",
                ts=n * interval_ns(INTERVAL),
                interval=INTERVAL,
                symbols=names,
                source="benchmark",
                **dict(zip(COLUMNS, bars[n].tolist(), strict=True)),
            )
        )
        for n in range(len(bars))
    ]


def kernel_only(bars: Floats) -> Callable[[int], int]:
    """The compiled kernel on arrays that are there already."""
    engine = Engine()
    rows = engine.state.rows_of([f"SYM{n}" for n in range(bars.shape[2])])
    rules, decisions = engine.rules, np.zeros(bars.shape[2], DECISION)
    length = interval_ns(INTERVAL)

    def run(n: int) -> int:
        return step(
            engine.state.symbols,
            rows,
            bars[n],
            n * length,
            length,
            rules,
            engine.table,
            engine.programs,
            decisions,
            engine.state.counts,
        )

    return run


def whole_engine(payloads: list[bytes], *, decode: bool) -> Callable[[int], int]:
    """From a decoded batch, or from JSON, to signals."""
    engine = Engine()
    decoder = msgspec.json.Decoder(BarBatch)
    batches = [decoder.decode(payload) for payload in payloads]

    def run(n: int) -> int:
        return len(engine.apply(decoder.decode(payloads[n]) if decode else batches[n], n + 1))

    return run


def median_ns(run: Callable[[int], int], bars: int) -> tuple[float, int]:
    """Median time of a batch after the warm-up, and the signals made meanwhile."""
    for n in range(WARM_UP):
        run(n)
    times, made = [], 0
    for n in range(WARM_UP, bars):
        started = time.perf_counter_ns()
        made += run(n)
        times.append(time.perf_counter_ns() - started)
    return float(np.median(times)), made


def memory_of(symbols: int) -> tuple[float, float]:
    """Bytes that the arrays of so many symbols grow by, without other sources and with `pattern`."""
    found = []
    for others in ((), (PATTERN,)):
        engine = Engine(others=others)
        batch = msgspec.json.decode(messages(symbols, market(symbols, 1))[0], type=BarBatch)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        engine.apply(batch, 1)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        found.append(float(held - before))
    return found[0], found[1]


def main() -> None:
    """Print the table."""
    started = time.perf_counter()
    warm()
    first = time.perf_counter() - started
    print(
        f"kernel: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end=""
    )
    print(f"numpy {np.__version__}, {time.strftime('%Y-%m-%d', time.gmtime())}, python -m benchmarks.kernel")
    print(f"kernel ready after {first:.1f} s")
    print(f"{'symbols':>8} {'kernel':>10} {'engine':>10} {'with JSON':>10} {'a batch':>11} {'signals':>9}")
    print(f"{'':>8} {'ns/bar':>10} {'ns/bar':>10} {'ns/bar':>10} {'µs':>11} {'a 1k bars':>9}")
    for size in [int(a) for a in sys.argv[1:]] or SIZES:
        bars = WARM_UP + max(60, min(2_000, 200_000 // size))
        data = market(size, bars)
        payloads = messages(size, data)
        kernel, _ = median_ns(kernel_only(data), bars)
        engine, made = median_ns(whole_engine(payloads, decode=False), bars)
        whole, _ = median_ns(whole_engine(payloads, decode=True), bars)
        rate = 1000 * made / ((bars - WARM_UP) * size)
        print(
            f"{size:>8,} {kernel / size:>10.0f} {engine / size:>10.0f} {whole / size:>10.0f}"
            f" {engine / 1000:>11.1f} {rate:>9.1f}"
        )
    plain, remembering = (held / MANY / 1000 for held in memory_of(MANY))
    print(f"memory of 1,000 symbols: {plain:.1f} MB, with `pattern` {remembering:.1f} MB")


if __name__ == "__main__":
    main()
