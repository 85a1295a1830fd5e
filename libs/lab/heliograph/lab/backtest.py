"""A backtest: the live engines over a folder of bars, some symbols at a time."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import msgspec
import numpy as np

from heliograph.common.errors import InputError
from heliograph.common.shards import DEFAULT_SHARDS
from heliograph.fetcher.load import Replay
from heliograph.lab import trades as records
from heliograph.lab.bars import Bars, bars_of
from heliograph.lab.columnar import run_columnar
from heliograph.lab.folder import CHUNK, Folder
from heliograph.lab.ledger import Ledger, merge, post
from heliograph.lab.live import run_live
from heliograph.lab.period import Period
from heliograph.lab.problems import Problem, problems_of
from heliograph.lab.strategy import Strategy
from heliograph.lab.trades import Names, Trades, in_order, layout, trades_of
from heliograph.lab.votes import check_sources, read_votes
from heliograph.tracker.closing import Costs


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to run.

    Attributes:
        folder: of Parquet files, as `heliograph up --data` takes it.
        strategy: what decides.
        period: signals of it are counted; bars before it warm the engine up, bars after it are not read.
        costs: of a round trip.
        shards: as the live path would have; no figure depends on it.
        votes: folder of recorded votes of sources from outside; without it those sources are silent.
        live: batch by batch through the objects that the services run, rather than by columns; slower, and
            the figures are the same.
    """

    folder: Path
    strategy: Strategy
    period: Period = Period()
    costs: Costs = Costs()
    shards: int = DEFAULT_SHARDS
    votes: Path | None = None
    live: bool = False


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What some symbols came to; `trades` number them and their bars from 0, see `Result`."""

    symbols: list[str]
    intervals: list[str]
    bars: int
    gaps: int
    refused: dict[str, int]
    problems: list[Problem]
    trades: Trades
    ids: list[str]
    ledger: Ledger


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest came to.

    Attributes:
        symbols: with good bars, sorted; `intervals` of each.
        bars: good ones up to the end of the period; `refused` the others by reason.
        gaps: pauses that no closed market explains.
        problems: what stands out in the bars.
        trades: signals of the period with their outcomes; `symbol` is an index into `symbols`,
            `row` one into all good bars, by symbol and time.
        ids: of those signals.
        ledger: by day.
    """

    symbols: list[str]
    intervals: list[str]
    bars: int
    gaps: int
    refused: dict[str, int]
    problems: list[Problem]
    trades: Trades
    ids: list[str]
    ledger: Ledger

    @property
    def signals_sha256(self) -> str:
        """SHA-256 (hex) over the sorted ids, joined by line feeds, as `heliograph up --once` gives it."""
        return hashlib.sha256("\n".join(sorted(self.ids)).encode()).hexdigest()


def run(
    job: Job,
    *,
    chunk: int = CHUNK,
    workers: int = 1,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> Result:
    """Run a backtest.

    Args:
        job: what to run.
        chunk: symbols in memory at a time, in each worker.
        workers: processes; 1 stays in this one. No figure depends on it.
        report: called with the symbols done and their total.

    Raises:
        InputError: the data are wrong, or no bar lies in the period.
    """
    folder = Folder(job.folder)
    if job.votes is not None:
        check_sources(read_votes(job.votes), job.strategy.keys)
    total = len(folder.symbols)
    done = 0
    parts: list[Part] = []
    for symbols, part in computed(job, folder, list(folder.chunks(chunk)), workers):
        parts.append(part)
        done += len(symbols)
        report(done, total)
    result = together(parts, len(job.strategy.keys))
    if not result.bars:
        raise InputError(f"data: no good bar in {str(job.folder)!r} before the end of the period")
    if not result.ledger.symbols:
        raise InputError("from: no bar at or after it, expected a period with bars")
    return result


def computed(
    job: Job, folder: Folder, chunks: Sequence[Sequence[str]], workers: int
) -> Iterator[tuple[Sequence[str], Part]]:
    """Each chunk with its part, in order."""
    if workers == 1 or len(chunks) == 1:
        for symbols in chunks:
            yield symbols, run_part(job, folder, symbols)
        return
    with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=get_context("spawn")) as pool:
        parts = pool.map(run_part, [job] * len(chunks), [folder] * len(chunks), chunks)
        yield from zip(chunks, parts, strict=True)


def run_part(job: Job, folder: Folder, symbols: Sequence[str]) -> Part:
    """Run the engines over some symbols."""
    replay = folder.replay(symbols, job.shards, job.period.end)
    bars = bars_of(replay)
    trades, names = decided(job, folder, symbols, replay, bars)
    counted = trades["bar_ts"] >= job.period.start
    trades = trades[counted]
    return Part(
        symbols=bars.symbols,
        intervals=bars.intervals,
        bars=len(bars),
        gaps=replay.gaps,
        refused=dict(sum((Counter(shard.counts()) for shard in replay.refused), Counter[str]())),
        problems=problems_of(bars),
        trades=trades,
        ids=records.ids(trades, bars, names[counted]),
        ledger=post(trades, bars, job.period.start, job.costs),
    )


def decided(
    job: Job, folder: Folder, symbols: Sequence[str], replay: Replay, bars: Bars
) -> tuple[Trades, Names]:
    """All signals of some symbols with their outcomes, and the strategy of each.

    With a benchmark a symbol's votes also rest on the benchmark's bars, where both are in one shard: then the
    benchmark is read with them. That, plug-ins, sources from outside (silent without recorded votes), known
    events and a challenger run batch by batch.
    """
    strategy = job.strategy
    if strategy.by_columns and not job.live and job.votes is None:
        trades = run_columnar(bars, strategy, job.costs)
        return trades, np.full(len(trades), strategy.name)
    if strategy.benchmark and strategy.benchmark not in symbols:
        replay = folder.replay([*symbols, strategy.benchmark], job.shards, job.period.end)
    recorded = read_votes(job.votes) if job.votes is not None else None
    signals, outcomes = run_live(replay, job.shards, strategy, job.costs, recorded)
    mine = set(symbols)
    own = in_order([signal for signal in signals if signal.symbol in mine])
    return trades_of(own, outcomes, bars, strategy.keys), np.array([s.strategy for s in own], np.str_)


def together(parts: Iterable[Part], sources: int) -> Result:
    """All parts as one result."""
    found = list(parts)
    moved = []
    symbols = rows = 0
    for part in found:
        moved.append(records.shifted(part.trades, symbols, rows))
        symbols += len(part.symbols)
        rows += part.bars
    return Result(
        symbols=[s for part in found for s in part.symbols],
        intervals=[s for part in found for s in part.intervals],
        bars=sum(part.bars for part in found),
        gaps=sum(part.gaps for part in found),
        refused=dict(sorted(sum((Counter(part.refused) for part in found), Counter[str]()).items())),
        problems=[problem for part in found for problem in part.problems],
        trades=np.concatenate(moved) if moved else np.zeros(0, layout(sources)),
        ids=[i for part in found for i in part.ids],
        ledger=merge([part.ledger for part in found]),
    )
