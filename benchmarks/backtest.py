"""Bars a second of a backtest, beside three peers on the same bars: `python -m benchmarks.backtest`.

The bars are real daily ones of the sample, ten symbols chained to a series (each goes on at the price
where the one before ended), so that no peer pays its start for a handful of bars. The peers run a rule
of two averages. The lab runs twice, each time from columns to signals with outcomes by high and low,
costs, and the equity of the portfolio and of buying and holding: with all cheap sources, regimes and the
gate, from which nothing is taken off; and with the peers' own rule as a compiled plug-in, as a user would
write it (`two_averages.py`), for which it keeps all indicators and regimes besides, and gives a signal at
one bar in seven. The goals are held against both.
Seconds are the processor's, of one core, for all of them: others may be at work beside us (the load is
told), and no one here uses more than one thread.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.figures import Figure, show
from benchmarks.market import real_paths
from benchmarks.two_averages import strategy as two_averages

from heliograph.common.clock import NANOSECONDS
from heliograph.lab.backtest import Job, run
from heliograph.lab.bars import PRICES, Bars
from heliograph.lab.columnar import run_columnar
from heliograph.lab.ledger import post
from heliograph.lab.live import run_live
from heliograph.lab.lookahead import replay_of
from heliograph.lab.strategy import live_strategy
from heliograph.lab.trades import ids
from heliograph.tracker.closing import Costs

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".venv" / "peers"
SCRIPTS = ROOT / "benchmarks" / "peers"
NAMES = ("backtesting", "nautilus_trader", "vectorbt")
CHAINED = 10
COPIES = 10
"""Times that the lab takes the same series, as other symbols: it is done with one copy in milliseconds."""
ROUNDS = 7
DAY_NS = 86_400 * NANOSECONDS
START_NS = 1_360_281_600 * NANOSECONDS
GOAL = 10_000_000


def series() -> np.ndarray:
    """Real bars in long series; shape (series, bars, 5)."""
    paths = real_paths(1)
    used = len(paths) // CHAINED * CHAINED
    groups = paths[:used].reshape(-1, CHAINED, *paths.shape[1:]).copy()
    for group in groups:
        for before, after in pairwise(group):
            after[:, :4] *= before[-1, 3] / after[0, 0]
    long = groups.reshape(len(groups), -1, 5)
    if not np.isfinite(long).all():
        raise ValueError("the chained bars are not finite")
    return long


def bars_of(paths: np.ndarray, copies: int) -> Bars:
    """The same as the lab keeps them, some copies of each."""
    many = np.tile(paths, (copies, 1, 1))
    count, length, _ = many.shape
    columns = np.ascontiguousarray(many.reshape(-1, 5).T)
    return Bars(
        symbols=[f"S{n:04d}" for n in range(count)],
        intervals=["1d"] * count,
        starts=np.arange(count + 1) * length,
        ts=np.tile(START_NS + np.arange(length) * DAY_NS, count),
        **dict(zip(PRICES, columns, strict=True)),
    )


def best(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Processor seconds of the quickest of some rounds, after one that only warms up."""
    work()
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def peers(paths: np.ndarray, folder: Path) -> dict[str, tuple[float, str]]:
    """Bars a second and version of each peer that installs and runs; the others are named and left out."""
    python = PEERS / "bin" / "python"
    file = folder / "paths.npy"
    np.save(file, paths)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python), "-r"]
    if subprocess.run([*uv, str(SCRIPTS / "requirements.txt")], check=False).returncode:
        print("the peers could not be installed; measured without them")
        return {}
    found = {}
    for name in NAMES:
        command = [str(python), "-W", "ignore", str(SCRIPTS / f"run_{name}.py"), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}")
            continue
        told = json.loads(done.stdout.strip().splitlines()[-1])
        found[name] = (told["bars"] / told["seconds"], told["version"])
    return found


def end_to_end(bars: Bars, folder: Path) -> float:
    """Bars a second from Parquet files to the ledger, by the command's own code."""
    data = folder / "data"
    data.mkdir()
    symbols = pa.DictionaryArray.from_arrays(pa.array(bars.owner.astype(np.int32)), pa.array(bars.symbols))
    columns = {name: getattr(bars, name) for name in PRICES}
    ts = pa.array(bars.ts).cast(pa.timestamp("ns", "UTC"))
    pq.write_table(
        pa.table({"symbol": symbols.cast(pa.string()), "ts": ts, **columns}), data / "bars.parquet"
    )
    job = Job(folder=data, strategy=live_strategy())
    return len(bars) / best(lambda: run(job), rounds=2)


def main() -> None:
    """Measure and print the table."""
    paths = series()
    one, many = bars_of(paths, 1), bars_of(paths, COPIES)
    strategy, costs = live_strategy(), Costs()
    trades = run_columnar(many, strategy, costs)
    names = np.full(len(trades), strategy.name)

    def whole() -> None:
        post(run_columnar(many, strategy, costs), many, 0, costs)

    averages = two_averages()
    replay = replay_of(one)

    def the_peers_rule() -> None:
        post(run_columnar(many, averages, costs), many, 0, costs)

    with TemporaryDirectory(prefix="heliograph-bench-") as folder:
        beside = peers(paths, Path(folder))
        rate = len(many) / best(whole)
        decided = len(many) / best(lambda: run_columnar(many, strategy, costs))
        named = len(trades) / best(lambda: ids(trades, many, names), rounds=2)
        live = len(one) / best(lambda: run_live(replay, 1, strategy, costs), rounds=1)
        same = len(many) / best(the_peers_rule)
        same_live = len(one) / best(lambda: run_live(replay, 1, averages, costs), rounds=1)
        files = end_to_end(many, Path(folder))
    figures = [
        Figure(
            name="backtest from columns, one core: all cheap votes, outcomes, costs, equity",
            value=f"{rate:,.0f} bars/s ({1e9 / rate:.0f} ns/bar)",
            beside=f"{len(many):,} bars, {len(trades):,} signals",
            goal=f"≥ {GOAL:,} bars/s",
        ),
        Figure(name="of which signals and outcomes", value=f"{decided:,.0f} bars/s"),
        Figure(name="ids of signals", value=f"{named:,.0f} ids/s"),
        Figure(name="the live objects, batch by batch", value=f"{live:,.0f} bars/s", beside="same signals"),
        Figure(
            name="the peers' rule as a compiled plug-in, from columns, one core: outcomes, costs, equity",
            value=f"{same:,.0f} bars/s ({1e9 / same:.0f} ns/bar)",
            beside=f"{len(run_columnar(many, averages, costs)):,} signals",
            goal=f"≥ {GOAL:,} bars/s",
        ),
        Figure(
            name="the same, the live objects, batch by batch",
            value=f"{same_live:,.0f} bars/s",
            beside="same signals",
        ),
        Figure(
            name="`heliograph backtest` from Parquet, with the quality gate", value=f"{files:,.0f} bars/s"
        ),
    ]
    for name, (speed, version) in beside.items():
        told = f"the lab is {rate / speed:,.1f} × as fast, on the same rule {same / speed:,.1f} ×"
        goal = "≥ 1 ×" if name == "vectorbt" else ""
        figures.append(
            Figure(
                name=f"{name} {version}, two averages", value=f"{speed:,.0f} bars/s", beside=told, goal=goal
            )
        )
    events = [speed for name, (speed, _) in beside.items() if name != "vectorbt"]
    if events:
        figures.append(
            Figure(
                name="against the faster of backtesting.py and nautilus_trader",
                value=f"{rate / max(events):,.0f} ×, on the same rule {same / max(events):,.0f} ×",
                goal="≥ 50 ×",
            )
        )
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    show(f"Backtest ({load})", figures, "python -m benchmarks.backtest")


if __name__ == "__main__":
    main()
