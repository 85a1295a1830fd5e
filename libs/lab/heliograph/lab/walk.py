"""Walking forward: fit on the past, choose on what came after it, report what neither has seen."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from heliograph.lab.backtest import Job, Result, decided, run
from heliograph.lab.bars import DAY_NS, bars_of
from heliograph.lab.chance import Interval, portfolio_intervals, record_intervals
from heliograph.lab.compare import Comparison, compare
from heliograph.lab.fitting import fit, open_gate, seen
from heliograph.lab.folder import Folder
from heliograph.lab.ledger import Ledger, merge, post
from heliograph.lab.performance import DAYS_A_YEAR, Performance, equity_of, performance, returns_of
from heliograph.lab.period import Period, date_of
from heliograph.lab.record import Record, record
from heliograph.lab.strategy import Strategy
from heliograph.lab.timeline import Parts, windows
from heliograph.lab.trades import Trades, layout, shifted
from heliograph.lab.verdict import verdict

Report = Callable[[int, int], None]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One window.

    Attributes:
        train: first day of the training part; `validation` and `test` likewise, `end` the day after the test.
        candidate: fitted on the training part; empty where nothing was learnt.
        chosen: what the validation part preferred, and the test part then used.
        current_net: mean result of a signal on the validation part, percent after costs, of the current
            weights; `candidate_net` of the candidate's.
        record: of the test part.
    """

    train: str
    validation: str
    test: str
    end: str
    candidate: str
    chosen: str
    current_net: float | None
    candidate_net: float | None
    record: Record


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """All windows; figures of the test parts alone.

    Attributes:
        verdict: in words; `worth_trading` the same as a truth.
        changed: windows in which the fitted weights were chosen.
        comparison: the current weights throughout (a) beside the walk (b), on the same test parts.
    """

    verdict: str
    worth_trading: bool
    steps: list[Step]
    changed: int
    first_day: str
    last_day: str
    record: Record
    portfolio: Performance
    buy_and_hold: Performance
    intervals: dict[str, Interval]
    comparison: Comparison


def walk(
    job: Job, lengths: tuple[int, int, int], chunk: int, report: Report = lambda _done, _total: None
) -> Walk:
    """Walk over all data of a job; its period is left out of account.

    Each set of weights runs over all bars, so that it is warm when its turn comes; what it gave in a test
    part counts there, followed to its outcome.

    Args:
        job: folder, current strategy, costs.
        lengths: days with bars of the training, validation and test parts.
        chunk: symbols in memory at a time.
        report: called with the runs done and their total.

    Raises:
        InputError: the data are wrong or too short.
    """
    current = run(job, chunk=chunk)
    days = np.flatnonzero(current.ledger.bars) + current.ledger.first
    walked = windows(days, *lengths)
    open_ = run(msgspec.structs.replace(job, strategy=open_gate(job.strategy)), chunk=chunk)
    chunks = list(Folder(job.folder).chunks(chunk))
    total = len(walked) * (1 + len(chunks))
    candidates = []
    for number, window in enumerate(walked):
        candidates.append(fit(job.strategy, seen(open_.trades, window.train))[0])
        report(number + 1, total)
    fitted = fitted_trades(job, chunks, candidates, walked, lambda done: report(len(walked) + done, total))
    steps: list[Step] = []
    tests: list[Trades] = []
    for window, candidate, trades in zip(walked, candidates, fitted, strict=True):
        known, other = (mean_net(some, window.validation) for some in (current.trades, trades))
        better = other is not None and (known is None or other > known)
        tests.append(opened_in(trades if better else current.trades, window.test))
        steps.append(
            Step(
                train=date_of(window.train.start),
                validation=date_of(window.validation.start),
                test=date_of(window.test.start),
                end=date_of(window.test.end),
                candidate="" if candidate is job.strategy else candidate.name,
                chosen=candidate.name if better else job.strategy.name,
                current_net=known,
                candidate_net=other,
                record=record(tests[-1]),
            )
        )
    return together(job, chunk, current, walked, steps, tests)


def fitted_trades(
    job: Job,
    chunks: Sequence[Sequence[str]],
    candidates: Sequence[Strategy],
    walked: Sequence[Parts],
    report: Callable[[int], None],
) -> list[Trades]:
    """What each window's candidate gave in its validation and test parts; nothing without a candidate."""
    folder = Folder(job.folder)
    found = [[np.zeros(0, layout(len(job.strategy.keys)))] for _ in walked]
    names = rows = 0
    for done, symbols in enumerate(chunks):
        replay = folder.replay(symbols, job.shards)
        bars = bars_of(replay)
        for number, (candidate, window) in enumerate(zip(candidates, walked, strict=True)):
            if candidate is not job.strategy:
                one = msgspec.structs.replace(job, strategy=candidate)
                trades, _ = decided(one, folder, symbols, replay, bars)
                kept = opened_in(trades, Period(window.validation.start, window.test.end))
                found[number].append(shifted(kept, names, rows))
            report(done * len(walked) + number + 1)
        names += len(bars.symbols)
        rows += len(bars)
    return [np.concatenate(parts) for parts in found]


def opened_in(trades: Trades, period: Period) -> Trades:
    """Signals on the bars of a period, with their outcomes, whenever those came."""
    some: Trades = trades[(trades["bar_ts"] >= period.start) & (trades["bar_ts"] < period.end)]
    return some


def mean_net(trades: Trades, period: Period) -> float | None:
    """Mean result after costs, percent, of the signals that began and ended in a period."""
    return record(seen(trades, period)).mean_net


def together(
    job: Job, chunk: int, current: Result, walked: Sequence[Parts], steps: list[Step], tests: list[Trades]
) -> Walk:
    """The test parts as one, beside the current weights on the same days."""
    whole = Period(walked[0].test.start, walked[-1].test.end)
    throughout = opened_in(current.trades, whole)
    mine = in_order(np.concatenate(tests))
    results = [booked(job, chunk, current, trades, whole.start) for trades in (throughout, mine)]
    ledger = results[1].ledger
    active = ledger.bars > 0
    traded = np.flatnonzero(active) + ledger.first
    years = len(ledger.profit) / DAYS_A_YEAR
    equity = equity_of(ledger.profit, ledger.symbols)[active]
    portfolio = performance(equity, years)
    intervals = {**portfolio_intervals(returns_of(equity), years), **record_intervals(mine)}
    found = record(mine)
    worth, words = verdict(found, portfolio, intervals)
    return Walk(
        verdict=words,
        worth_trading=worth,
        steps=steps,
        changed=sum(step.chosen != job.strategy.name for step in steps),
        first_day=date_of(int(traded[0]) * DAY_NS),
        last_day=date_of(int(traded[-1]) * DAY_NS),
        record=found,
        portfolio=portfolio,
        buy_and_hold=performance(equity_of(ledger.held, ledger.symbols)[active], years),
        intervals=intervals,
        comparison=compare(results[0], results[1], (job.strategy.name, "the walk")),
    )


def in_order(trades: Trades) -> Trades:
    """By symbol and then by time."""
    some: Trades = trades[np.lexsort((trades["side"], trades["ts"], trades["symbol"]))]
    return some


def booked(job: Job, chunk: int, current: Result, trades: Trades, start: int) -> Result:
    """Trades as a result of their own, their ledger made from the bars again, some symbols at a time."""
    folder = Folder(job.folder)
    ledgers: list[Ledger] = []
    names = rows = 0
    for symbols in folder.chunks(chunk):
        bars = bars_of(folder.replay(symbols, job.shards))
        own = (trades["row"] >= rows) & (trades["row"] < rows + len(bars))
        ledgers.append(post(shifted(trades[own], -names, -rows), bars, start, job.costs))
        names += len(bars.symbols)
        rows += len(bars)
    return msgspec.structs.replace(current, trades=trades, ids=[], ledger=merge(ledgers))
