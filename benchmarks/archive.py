"""The archive beside CSV: bytes, a month's question, restoring, and seven years on S3.

The question is the mean close of one symbol over a month: of CSV every file of the month is read whole, of
Parquet the columns and pages that it needs, in turns. The minutes are random walks at two decimals, since the
sample has none; the rest is measured on the sample.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.dataset as ds
from benchmarks.clickhouse import load_sample
from benchmarks.figures import Figure, show

from heliograph.archiver.archive.archive import Archive
from heliograph.archiver.archive.cost import Size, cost
from heliograph.archiver.archive.csv_day import read_csv, write_csv
from heliograph.archiver.archive.days import date_of
from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.archive.lifecycle import Plan
from heliograph.archiver.archive.parquet import DayWriter
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.schema import BARS

COMMAND = "python -m benchmarks.archive"
SYMBOLS = 200
MINUTES = 390
DAYS = 60
DAY_NS = 86_400 * 10**9
MINUTE_NS = 60 * 10**9
START = 18_262
"""Days since 1970 of 2020-01-01."""
ROUNDS = 5
MONTH = ("2020-01-10", "2020-02-10")


def minutes(day: int) -> pa.Table:
    """One day of one-minute bars of `SYMBOLS` symbols, sorted by the key."""
    chance = np.random.default_rng(day)
    shape = (SYMBOLS, MINUTES)
    close = np.round(100 * np.exp(np.cumsum(chance.normal(0, 5e-4, shape), axis=1)), 2)
    spread = np.round(np.abs(chance.normal(0, 0.03, shape)), 2)
    opened = np.round(close + chance.normal(0, 0.02, shape), 2)
    ts = (START + day) * DAY_NS + 52_200 * 10**9 + np.tile(np.arange(MINUTES) * MINUTE_NS, SYMBOLS)
    count = SYMBOLS * MINUTES
    columns = {
        "symbol": pa.array([f"S{number:04}" for number in range(SYMBOLS)]).take(
            np.repeat(np.arange(SYMBOLS), MINUTES)
        ),
        "interval": pa.repeat("1m", count),
        "ts": pa.array(ts, BARS.columns.field("ts").type),
        "open": opened.ravel(),
        "high": (np.maximum(opened, close) + spread).round(2).ravel(),
        "low": (np.minimum(opened, close) - spread).round(2).ravel(),
        "close": close.ravel(),
        "volume": np.floor(chance.lognormal(7, 1, count)),
        "split": np.ones(count),
        "source": pa.repeat("bench", count),
        "received": pa.array(ts + 250_000_000, BARS.columns.field("ts").type),
    }
    return pa.table(columns).select(BARS.columns.names).cast(BARS.columns)


def written(folder: Path) -> tuple[int, int]:
    """Write the days as the archive does, and as CSV beside; the bytes of each."""
    parquet = csv = 0
    for day in range(DAYS):
        rows = minutes(day)
        name = date_of((START + day) * DAY_NS)
        writer = DayWriter(BARS, name)
        writer.add(rows)
        data, _ = writer.finish("")
        for kind, body in (("parquet", data), ("csv", write_csv(BARS.columns, [rows]))):
            path = folder / kind / f"date={name}"
            path.mkdir(parents=True)
            (path / f"part.{kind}").write_bytes(body)
            parquet += len(body) if kind == "parquet" else 0
            csv += len(body) if kind == "csv" else 0
    return parquet, csv


def ask_parquet(folder: Path) -> float:
    """The mean close of a symbol over a month, from Parquet."""
    first, last = (date.fromisoformat(day) for day in MONTH)
    partitioning = ds.partitioning(pa.schema([("date", pa.date32())]), flavor="hive")
    days = ds.dataset(folder / "parquet", format="parquet", partitioning=partitioning)
    chosen = (ds.field("date") >= first) & (ds.field("date") < last) & (ds.field("symbol") == "S0042")
    return float(pc.mean(days.to_table(columns=["close"], filter=chosen)["close"]).as_py())


def ask_csv(folder: Path) -> float:
    """The same from the CSV files of the same days, by the same library and with the same pruning by day."""
    total, count = 0.0, 0
    for path in sorted((folder / "csv").iterdir()):
        if MONTH[0] <= path.name.removeprefix("date=") < MONTH[1]:
            rows = pa_csv.read_csv(path / "part.csv")
            own = rows.filter(pc.equal(rows["symbol"], "S0042"))["close"]
            total, count = total + float(pc.sum(own).as_py()), count + len(own)
    return total / count


def in_turns(one: Callable[[], float], other: Callable[[], float]) -> tuple[float, float]:
    """The least seconds of each over some rounds; both must give the same answer."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        answers = []
        for work, taken in zip((one, other), seconds, strict=True):
            started = time.perf_counter()
            answers.append(work())
            taken.append(time.perf_counter() - started)
        assert abs(answers[0] - answers[1]) < 1e-9
    return min(seconds[0]), min(seconds[1])


def beside_csv(folder: Path) -> list[Figure]:
    """Bytes and the month's question."""
    parquet, csv = written(folder)
    ours, theirs = in_turns(lambda: ask_parquet(folder), lambda: ask_csv(folder))
    count = SYMBOLS * MINUTES * DAYS
    sizes = [Size(parquet / DAYS, 1)]
    tiered, plain = cost(sizes, Plan()), cost([Size(csv / DAYS, 1)], Plan())
    return [
        Figure(
            name=f"{count:,} minute bars in {DAYS} days as Parquet",
            value=f"{parquet / 1e6:.1f} MB, {parquet / count:.1f} B a bar",
            beside=f"{parquet / csv:.1%} of the CSV ({csv / 1e6:.1f} MB)",
            goal="≤ 10 %",
        ),
        Figure(
            name="a month's question on Parquet",
            value=f"{ours * 1e3:.1f} ms",
            beside=f"{theirs / ours:.1f} × faster than on CSV ({theirs * 1e3:.1f} ms)",
            goal="≥ 10 ×",
        ),
        Figure(
            name=f"seven years of {parquet / DAYS / 1e6:.2f} MB a day on S3",
            value=f"${tiered.tiered:.2f}",
            beside=f"${tiered.standard:.2f} all in Standard ({tiered.saved:.0%} saved); "
            f"the CSV there ${plain.standard:.2f} ({1 - tiered.tiered / plain.standard:.0%})",
            goal="≥ 82 % under the CSV in Standard",
        ),
    ]


async def restored(folder: Path) -> list[Figure]:
    """The sample archived, dropped by emptying the table, and restored."""
    db = ClickHouse(f"chdb://{folder}/clickhouse")
    await db.open()
    await load_sample(db)
    archive = Archive(db, FolderStore(folder / "archive"))
    started = time.perf_counter()
    summary = await archive.run(complete_only=False)
    wrote = time.perf_counter() - started
    before = await db.rows("SELECT sum(cityHash64(* EXCEPT inserted)) FROM bars FINAL")
    csv = sum(len(write_csv(BARS.columns, [day])) for day in await of_days(db))
    started = time.perf_counter()
    verdict = await archive.holdings.verify()
    verified = time.perf_counter() - started
    assert (verdict.checked, verdict.wrong) == (summary.objects, {})
    await db.rows("TRUNCATE TABLE bars")
    started = time.perf_counter()
    moved = await archive.holdings.restore([BARS], "0001-01-01", "9999-12-31")
    took = time.perf_counter() - started
    assert await db.rows("SELECT sum(cityHash64(* EXCEPT inserted)) FROM bars FINAL") == before
    bare = await unproved(db, folder / "archive" / "bars")
    assert await db.rows("SELECT sum(cityHash64(* EXCEPT inserted)) FROM bars FINAL") == before
    archive.close()
    await db.close()
    own = cost([Size(summary.bytes / summary.days, summary.objects / summary.days)], Plan())
    return [
        Figure(
            name=f"the sample archived ({summary.objects:,} days, {summary.rows:,} bars)",
            value=f"{summary.objects / wrote:,.0f} objects/s",
            beside=f"{summary.bytes / csv:.0%} of the CSV; {summary.bytes / summary.objects:,.0f} B each",
        ),
        Figure(name="verified by reading again", value=f"{verdict.checked / verified:,.0f} objects/s"),
        Figure(
            name="restored into ClickHouse, each day proved and counted",
            value=f"{moved.days / took:,.0f} days/s, {moved.rows / took:,.0f} rows/s",
            beside=f"{bare / took:.0%} of the speed of reading and inserting them bare ({bare:.2f} s); "
            "the hash over all rows is that of before",
        ),
        Figure(
            name="seven years of the sample's days on S3",
            value=f"${own.tiered:.4f}",
            beside=f"${own.standard:.4f} all in Standard: its objects are too small to be moved",
        ),
    ]


async def unproved(db: ClickHouse, folder: Path) -> float:
    """Seconds to read the same objects by pyarrow alone and to insert them at once, with nothing proved."""
    await db.rows("TRUNCATE TABLE bars")
    started = time.perf_counter()
    rows = ds.dataset(folder, format="parquet").to_table(columns=BARS.columns.names)
    await db.insert("bars", rows.cast(BARS.columns))
    return time.perf_counter() - started


async def of_days(db: ClickHouse) -> list[pa.Table]:
    """The bars of the database, a table a year, for their size as CSV."""
    years = await db.rows("SELECT DISTINCT toYear(ts) FROM bars ORDER BY 1")
    names = ", ".join(f"`{name}`" for name in BARS.columns.names)
    return [
        (
            await db.arrow(f"SELECT {names} FROM bars FINAL WHERE toYear(ts) = {int(year)}")  # noqa: S608 - our own names
        ).cast(BARS.columns)
        for (year,) in years
    ]


def check_csv() -> None:
    """The CSV must carry the same rows, or its size would be no measure."""
    rows = minutes(0)
    assert read_csv(BARS.columns, write_csv(BARS.columns, [rows])).equals(rows)


def main() -> None:
    """Measure and print."""
    check_csv()
    pa.set_memory_pool(pa.system_memory_pool())
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        figures = beside_csv(Path(folder))
        figures += asyncio.run(restored(Path(folder)))
    show("the archive", figures, COMMAND)


if __name__ == "__main__":
    main()
