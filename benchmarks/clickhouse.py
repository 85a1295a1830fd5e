"""Bars into the embedded ClickHouse: group commit beside a bare insert_arrow; then days into the archive.

The writer takes messages as they come over the bus: decoding and the mapping to columns are in its time. The
bare insert has the rows ready as Arrow. Both write the same rows into tables of the same DDL, one after the
other.
"""

# ruff: noqa: S608 - its statements are made of our own names and numbers
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.figures import Figure, quantile, show

from heliograph.archiver import counting, dashboard, ended, queries
from heliograph.archiver.archive.archive import Archive
from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.bar_columns import BarColumns
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.requests import Request
from heliograph.archiver.rows import event_rows
from heliograph.archiver.schema import BARS, VIEWS
from heliograph.archiver.writer import MAX_ROWS, GroupCommit
from heliograph.common.events import BarBatch, encode
from heliograph.common.ids import derive_id

SHARDS = 16
SYMBOLS_A_SHARD = 690
MESSAGES = 16
"""Messages that a shard has in hand at once."""
MINUTES = 48
ROUNDS = 3
LONE_ROWS = 100
QUESTION_BARS = (1_000_000, 10_000_000)
"""Other sizes as arguments: `python -m benchmarks.clickhouse 1000000 10000000 100000000`."""
QUESTION_ROUNDS = 5
STEP = 500_000
START_NS = 1_600_000_020 * 10**9
MINUTE_NS = 60 * 10**9
HOLD_NS = 4 * 86_400 * 10**9
"""A signal ends within so long."""
SAMPLE = Path(__file__).parent.parent / "data" / "sample"
DECODER = msgspec.json.Decoder(BarColumns)
COMMAND = "python -m benchmarks.clickhouse"


def memory_mb() -> int:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) // 1024


def batch(shard: int, minute: int, symbols: int = SYMBOLS_A_SHARD) -> BarBatch:
    """One minute's bars of a shard."""
    ts = START_NS + minute * MINUTE_NS
    prices = [100.0 + (n * 7 + minute * 3) % 50 / 4 for n in range(symbols)]
    return BarBatch(
        id=derive_id("bars", shard, ts),
        ts=ts,
        interval="1m",
        source="bench",
        symbols=[f"S{shard:02}{n:04}" for n in range(symbols)],
        open=prices,
        high=[p + 0.5 for p in prices],
        low=[p - 0.5 for p in prices],
        close=[p + 0.25 for p in prices],
        volume=[float(1000 + n) for n in range(symbols)],
    )


def rows_of(messages: list[bytes]) -> pa.Table:
    """The rows of messages, as a processor makes them."""
    return event_rows("bars", [DECODER.decode(message) for message in messages])


def waves(turn: int) -> Iterator[list[list[bytes]]]:
    """The messages that all shards have in hand, wave after wave; each turn has other minutes."""
    for first in range(0, MINUTES, MESSAGES):
        minutes = range(turn * MINUTES + first, turn * MINUTES + first + MESSAGES)
        yield [[encode(batch(shard, minute)) for minute in minutes] for shard in range(SHARDS)]


async def grouped(writer: GroupCommit, turn: int) -> tuple[float, float]:
    """Bars a second by the archiver's writer, and the seconds of processor time a bar, merges included.

    Each shard hands over a batch and waits for it.
    """
    count, seconds, busy = 0, 0.0, 0.0

    async def handle(messages: list[bytes]) -> int:
        rows = rows_of(messages)
        await writer.write("bars", rows)
        return int(rows.num_rows)

    for wave in waves(turn):
        started, used = time.perf_counter(), time.process_time()
        count += sum(await asyncio.gather(*map(handle, wave)))
        seconds += time.perf_counter() - started
        busy += time.process_time() - used
    return count / seconds, busy / count


async def bare(db: ClickHouse, turn: int) -> float:
    """Bars a second by insert_arrow alone, the rows of a wave ready beforehand."""
    count, seconds = 0, 0.0
    for wave in waves(turn):
        rows = pa.concat_tables([rows_of(messages) for messages in wave]).combine_chunks()
        started = time.perf_counter()
        for start in range(0, rows.num_rows, MAX_ROWS):
            await db.insert("bare", rows.slice(start, MAX_ROWS))
        seconds += time.perf_counter() - started
        count += rows.num_rows
    return count / seconds


async def lone(writer: GroupCommit) -> list[float]:
    """Seconds until one bar alone is in the table, one after the other."""
    seconds = []
    for number in range(LONE_ROWS):
        rows = rows_of([encode(batch(99, number, symbols=1))])
        started = time.perf_counter()
        await writer.write("bars", rows)
        seconds.append(time.perf_counter() - started)
    return seconds


async def load_sample(db: ClickHouse) -> None:
    """Replace the bars by the real sample, which has years of days."""
    await db.rows("TRUNCATE TABLE bars")
    for name, interval in (("sp500_daily", "1d"), ("btcusd_hourly", "1h")):
        table = pq.read_table(SAMPLE / f"{name}.parquet")
        for column, values in (("interval", [interval]), ("source", ["replay"])):
            table = table.append_column(column, pa.array(values * table.num_rows))
        table = table.append_column("received", table["ts"])
        table = table.append_column("split", pa.array([1.0] * table.num_rows))
        await db.insert("bars", table.select(BARS.columns.names).cast(BARS.columns))


async def archive(db: ClickHouse, folder: Path) -> list[Figure]:
    """Days a second into a folder, each verified, and what they take beside CSV."""
    await load_sample(db)
    made = Archive(db, FolderStore(folder))
    started = time.perf_counter()
    summary = await made.run(complete_only=False)
    wrote = time.perf_counter() - started
    started = time.perf_counter()
    again = await made.run(complete_only=False)
    looked = time.perf_counter() - started
    assert (again.written, again.objects) == (0, summary.objects)
    assert not (await made.holdings.verify()).wrong
    made.close()
    [(csv,)] = await db.rows("SELECT sum(length(formatRow('CSV', * EXCEPT inserted))) FROM bars FINAL")
    return [
        Figure(
            name=f"days archived and read back ({summary.objects:,} objects, {summary.rows:,} bars)",
            value=f"{summary.objects / wrote:,.0f} objects/s",
            beside=f"nothing new: {looked * 1e3:.0f} ms for all days",
            goal="≥ 300 objects/s",
        ),
        Figure(
            name="their bytes",
            value=f"{summary.bytes / 1e6:.1f} MB",
            beside=f"{summary.bytes / csv:.0%} of the same rows as CSV ({csv / 1e6:.1f} MB)",
        ),
    ]


async def grow(db: ClickHouse, start: int, end: int) -> None:
    """Minute bars numbers `start` to `end` of a thousand symbols, and the signals of one bar in a hundred.

    Each signal ends within four days, and has cost a tenth of a cent to a full one.
    """
    numbers = f"SELECT number AS n, 100 + (n * 7919) % 1000 / 50 AS p FROM numbers({start}, {end - start})"
    common = "concat('S', leftPad(toString(n % 1000), 4, '0')) AS symbol, "
    time = f"fromUnixTimestamp64Nano(toInt64({START_NS} + intDiv(n, 1000) * {MINUTE_NS}), 'UTC') AS ts, "
    await db.rows(
        "INSERT INTO bars (symbol, interval, ts, open, high, low, close, volume, source, received) "
        f"SELECT {common} '1m', {time} p, p + 1, p - 1, p + 0.25, n % 5000, 'bench', ts FROM ({numbers})"
    )
    signals = f"({numbers}) WHERE n % 101 = 0"
    identity = "lower(leftPad(hex(n), 16, '0')) AS id, "
    await db.rows(
        "INSERT INTO signals (symbol, ts, id, action, entry, stop, target, confidence, votes, strategy) "
        f"SELECT {common} {time} {identity} if(n % 3 = 0, 'SELL', 'BUY'), p, p - 1, p + 1, 50 + n % 50, "
        "[('trend', 1, 0.8, 0.6, 0), ('technical', if(n % 2 = 0, 1, -1), 0.5, 0.4, 0)], 'bench@1' "
        f"FROM {signals}"
    )
    held = f"toIntervalNanosecond(cityHash64(n) % {HOLD_NS})"
    await db.rows(
        "INSERT INTO outcomes (symbol, opened, ts, id, signal, action, result, pnl_net, r_multiple) "
        f"SELECT {common} {time.replace('AS ts', 'AS opened')} opened + {held} AS ts, {identity} id, "
        "if(n % 3 = 0, 'SELL', 'BUY'), "
        f"if(n % 5 < 2, 'win', 'loss'), n % 7 - 3, 1 FROM {signals}"
    )
    await db.rows(
        "INSERT INTO reasons (symbol, ts, id, signal, provider, model, cost, tokens_in, tokens_out) "
        f"SELECT {common} {time} {identity} id, 'bench', 'm', 0.001 + cityHash64(n) % 900 / 1e5, 500, 60 "
        f"FROM {signals}"
    )


async def questions(db: ClickHouse) -> list[Figure]:
    """What a dashboard asks at some sizes; the median of some rounds."""
    for table in ("bars", "signals", "outcomes", "reasons", *(view.name for view in VIEWS)):
        await db.rows(f"TRUNCATE TABLE {table}")
    ended.forget(db)
    figures, start = [], 0
    for size in [int(size) for size in sys.argv[1:]] or QUESTION_BARS:
        for step in range(start, size, STEP):
            await grow(db, step, min(step + STEP, size))
        start = size
        started = time.perf_counter()
        await ended.over(db, dashboard.DAYS_DEFAULT)
        summed = time.perf_counter() - started
        took = {
            name: await median(partial(dashboard.ask, db, name, Request({}))) for name in dashboard.QUESTIONS
        }
        took["bars of a symbol"] = await median(partial(queries.bars, db, Request({"symbol": "S0042"})))
        took["counts"] = await median(partial(counting.counts, db))
        took["reliability after an outcome"] = await after_an_outcome(db, size)
        slowest = max(took, key=lambda name: took[name])
        [(signals,)] = await db.rows("SELECT count() FROM signals")
        figures.append(
            Figure(
                name=f"questions at {size:,} bars and {signals:,} signals",
                value=f"{took[slowest] * 1e3:.0f} ms at most ({slowest})",
                beside=", ".join(f"{name} {seconds * 1e3:.0f}" for name, seconds in took.items()),
                goal="≤ 50 ms",
            )
        )
        figures.append(Figure(name="sums of their thirty days made anew", value=f"{summed * 1e3:.0f} ms"))
    return figures


async def after_an_outcome(db: ClickHouse, size: int) -> float:
    """Seconds of a question whose newest day just got another outcome of a signal of four days before."""
    seconds = []
    for turn in range(QUESTION_ROUNDS):
        number = derive_id("late", size, turn)
        opened = f"(SELECT max(ts) FROM outcomes) - toIntervalNanosecond({HOLD_NS})"
        await db.rows(
            "INSERT INTO signals (symbol, ts, id, action, confidence, votes) "
            f"SELECT 'S0000', {opened}, '{number}', 'BUY', 80, [('trend', 1, 0.8, 0.6, 0)]"
        )
        await db.rows(
            "INSERT INTO outcomes (symbol, opened, ts, id, signal, action, result) "
            f"SELECT 'S0000', {opened} AS opened, opened + toIntervalNanosecond({HOLD_NS}), "
            f"'{number}', '{number}', 'BUY', 'win'"
        )
        started = time.perf_counter()
        assert await dashboard.ask(db, "reliability", Request({}))
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


async def median(ask: Callable[[], Awaitable[object]]) -> float:
    """Seconds of a question."""
    seconds = []
    for _ in range(QUESTION_ROUNDS):
        started = time.perf_counter()
        assert await ask()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


async def measure(folder: Path) -> list[Figure]:
    """The figures, in one run on one store; the rate is the median of the rounds."""
    pa.set_memory_pool(pa.system_memory_pool())
    db = ClickHouse(f"chdb://{folder}/clickhouse")
    await db.open()
    opened = memory_mb()
    await db.rows("CREATE TABLE bare AS bars")
    writer = GroupCommit(db.insert, rows=1000, seconds=0.25)
    ours, costs, beside, memory = [], [], [], []
    for turn in range(ROUNDS):
        rate, cost = await grouped(writer, turn)
        ours.append(rate)
        costs.append(cost)
        memory.append(memory_mb())
        beside.append(await bare(db, turn))
    count = (await counting.counts(db))["bars"]
    assert count == ROUNDS * MINUTES * SHARDS * SYMBOLS_A_SHARD
    latencies = await lone(writer)
    rate, arrow = statistics.median(ours), statistics.median(beside)
    usual, worst = (1e3 * quantile(latencies, share) for share in (0.5, 0.99))
    figures = [
        Figure(
            name="bars into ClickHouse",
            value=f"{rate:,.0f} rows/s",
            beside=f"{rate / arrow:.0%} of a bare insert_arrow ({arrow:,.0f} rows/s)",
        ),
        Figure(name="processor time a bar", value=f"{1e6 * statistics.median(costs):.2f} µs"),
        Figure(name="a lone bar in its table", value=f"p50 {usual:.1f} ms, p99 {worst:.1f} ms"),
        Figure(
            name="resident memory with the engine",
            value=f"{memory[0]} MB after {count // ROUNDS:,} bars",
            beside=f"{opened} MB before",
            goal="≤ 500 MB",
        ),
        *await archive(db, folder / "archive"),
        *await questions(db),
    ]
    await writer.close()
    await db.close()
    return figures


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        figures = asyncio.run(measure(Path(folder)))
    show(f"ClickHouse {SHARDS} shards of {SYMBOLS_A_SHARD} symbols, {ROUNDS} rounds", figures, COMMAND)


if __name__ == "__main__":
    main()
