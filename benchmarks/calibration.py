"""Raw and calibrated confidence on the real sample, out of time: `python -m benchmarks.calibration`.

The sample's bars go through the live engines in the order of time. Whenever 100 outcomes or a day have come,
a calibration is trained and tried as the tracker does it. Each signal is calibrated as the consensus does it,
by the newest version that had seen nothing of its time: every figure is about signals after the training.

Signals of one week rise and fall together, so the intervals come from drawing whole weeks, with replacement.
"""

import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from benchmarks.figures import Figure, show
from benchmarks.market import SAMPLE
from sklearn.isotonic import IsotonicRegression

from heliograph.common.calibration import PERCENT, Calibration
from heliograph.common.calibration_bucket import HISTORY
from heliograph.common.clock import NANOSECONDS
from heliograph.common.events import BarBatch, Signal
from heliograph.common.ids import derive_id
from heliograph.common.intervals import interval_ns
from heliograph.consensus.calibration import Calibrator
from heliograph.consensus.engine import Engine
from heliograph.tracker.calibration.figures import BINS, EDGES, Figures, figures
from heliograph.tracker.calibration.training import Outcomes, trial
from heliograph.tracker.closing import Costs
from heliograph.tracker.engine import OpenSignals

Floats = npt.NDArray[np.float64]

DAY_NS = 86_400 * NANOSECONDS
WINDOW_NS = 90 * DAY_NS
EVERY = 100
WEEK_NS = 7 * DAY_NS
DRAWS = 4000
COLUMNS = ("open", "high", "low", "close", "volume")
GOAL = 0.10
LOOKUPS = 20_000


def batches() -> list[BarBatch]:
    """The sample's bars, a batch for each time and interval, by the time of their close."""
    found = []
    for name, interval in (("sp500_daily", "1d"), ("btcusd_hourly", "1h")):
        table = pq.read_table(SAMPLE.with_name(f"{name}.parquet")).sort_by(
            [("ts", "ascending"), ("symbol", "ascending")]
        )
        symbols = table["symbol"].to_pylist()
        ts = table["ts"].to_numpy().astype("datetime64[ns]").astype(np.int64)
        columns = np.array([table[column].to_numpy() for column in COLUMNS])
        edges = [0, *(np.flatnonzero(np.diff(ts)) + 1).tolist(), len(ts)]
        found += [
            BarBatch(
                id=derive_id(int(ts[a]), interval),
                ts=int(ts[a]),
                interval=interval,
                symbols=symbols[a:b],
                source="sample",
                **dict(zip(COLUMNS, columns[:, a:b].tolist(), strict=True)),
            )
            for a, b in pairwise(edges)
        ]
    return sorted(found, key=lambda batch: batch.ts + interval_ns(batch.interval))


class Walk:
    """Signals, outcomes and trainings in the order of time, as the services do them.

    Args:
        every: outcomes after which a calibration is trained.
        daily: train also after a day of event time.
    """

    def __init__(self, every: int = EVERY, *, daily: bool = True) -> None:
        self._every = every
        self._daily = daily
        self.calibrator = Calibrator()
        self.model: Calibration | None = None
        self.trials = self.taken = 0
        self._tried = 0
        self._strategy = ""
        self._ended: list[tuple[str, float, float, int]] = []
        self._new = 0

    def run(self) -> Iterator[tuple[Signal, float, float]]:
        """Each ended signal as published, whether it won, and the win rate of the 90 days before it."""
        engine, following = Engine(), OpenSignals(Costs())
        opened: dict[str, tuple[Signal, float]] = {}
        for seq, batch in enumerate(batches(), 1):
            for outcome in following.apply(seq, batch):
                signal, rate = opened.pop(outcome.signal)
                won = outcome.result == "win" or (outcome.result == "expired" and outcome.pnl > 0)
                self._ended.append((signal.symbol, signal.raw_confidence, float(won), outcome.ts))
                self._new += 1
                yield signal, float(won), rate
            self._train()
            for signal in engine.apply(batch, seq):
                self._strategy = signal.strategy
                following.add(signal)
                opened[signal.id] = self.calibrator.calibrated(signal), self._rate(signal.ts)

    def _train(self) -> None:
        if not self._new:
            return
        newest = self._ended[-1][3]
        due = self._daily and self.model is not None and newest - self._tried >= DAY_NS
        if self._new < self._every and not due:
            return
        self._ended = [entry for entry in self._ended if entry[3] > newest - WINDOW_NS]
        symbols, raw, won, ended = zip(*self._ended, strict=True)
        outcomes = Outcomes(np.array(symbols), np.array(raw), np.array(won), np.array(ended))
        found = trial(outcomes, self._strategy, self.model)
        if found is None:
            return
        self._new, self._tried = 0, newest
        self.trials += 1
        if found.taken:
            self.taken += 1
            self.model = found.model
            self.calibrator.add([found.model])

    def _rate(self, ts: int) -> float:
        """Percent of wins among the outcomes of the 90 days before a time; 50 with fewer than 100."""
        won = [entry[2] for entry in self._ended if ts - WINDOW_NS < entry[3] < ts]
        return float(PERCENT * np.mean(won)) if len(won) >= EVERY else 50.0


class Weekly:
    """Sums of forecasts by week, so that any draw of weeks has its scores in a few products."""

    def __init__(self, forecast: Floats, won: Floats, week: npt.NDArray[np.int64]) -> None:
        weeks = int(week.max()) + 1
        self._count = np.bincount(week, minlength=weeks)
        self._squares = np.bincount(week, weights=(forecast / PERCENT - won) ** 2, minlength=weeks)
        place = week * BINS + np.clip(np.searchsorted(EDGES, forecast, side="right") - 1, 0, BINS - 1)
        apart = np.bincount(place, weights=forecast / PERCENT - won, minlength=weeks * BINS)
        self._apart = apart.reshape(weeks, BINS)

    def brier(self, draws: Floats) -> Floats:
        """Brier score of each draw; `draws` says how often each week is in it, shape (draws, weeks)."""
        return np.asarray((draws @ self._squares) / (draws @ self._count))

    def ece(self, draws: Floats) -> Floats:
        """Expected calibration error of each draw."""
        return np.asarray(np.abs(draws @ self._apart).sum(axis=1) / (draws @ self._count))


def gains(signals: list[Signal], forecast: Floats, won: Floats) -> list[Figure]:
    """How much better than the raw confidence the forecasts are, in Brier score and ECE, with intervals."""
    raw = np.array([signal.raw_confidence for signal in signals])
    times = np.array([signal.ts for signal in signals])
    week = np.unique(times // WEEK_NS, return_inverse=True)[1]
    count = int(week.max()) + 1
    random = np.random.default_rng(7)
    drawn = random.multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(np.float64)
    before, after, once = Weekly(raw, won, week), Weekly(forecast, won, week), np.ones((1, count))
    rows = []
    for name, score in (("Brier score", Weekly.brier), ("ECE", Weekly.ece)):
        better = 1 - score(after, drawn) / score(before, drawn)
        low, high = np.quantile(better, [0.025, 0.975])
        one = float(1 - score(after, once)[0] / score(before, once)[0])
        rows.append(
            Figure(
                name=f"{name}, better than raw by",
                value=f"{one:.1%}, 95 % interval {low:.1%} to {high:.1%}",
                beside=f"{count} weeks, {DRAWS:,} draws",
                goal=f"≥ {GOAL:.0%}: {'met' if low >= GOAL else 'not shown'}",
            )
        )
    return rows


def scores(name: str, found: Figures, beside: str = "") -> Figure:
    """One row of scores."""
    return Figure(
        name=name,
        value=f"Brier {found.brier:.4f}, ECE {found.ece:.4f}, log loss {found.log_loss:.4f}",
        beside=beside
        or f"{found.count:,} signals, {found.forecast:.1f} % foretold, {found.win_rate:.1f} % won",
    )


def lookups(signals: list[Signal], model: Calibration) -> list[Figure]:
    """Cost of calibrating a signal, beside scikit-learn's prediction of one value and of a thousand."""
    calibrator = Calibrator()
    versions = [
        Calibration(**{name: getattr(model, name) for name in model.__struct_fields__} | {"version": str(n)})
        for n in range(HISTORY)
    ]
    calibrator.add(versions)
    late = [s for s in signals if s.ts > model.until]
    assert late
    some = [late[n % len(late)] for n in range(LOOKUPS)]
    started = time.perf_counter()
    for signal in some:
        calibrator.calibrated(signal)
    ours = (time.perf_counter() - started) / LOOKUPS
    raw = np.linspace(75, 98, 1000)
    peer = IsotonicRegression(out_of_bounds="clip").fit(model.pool.raw, model.pool.win)
    started = time.perf_counter()
    for value in raw:
        peer.predict([value])
    theirs = (time.perf_counter() - started) / raw.size
    x, y = np.array(model.pool.raw), np.array(model.pool.win)
    started = time.perf_counter()
    for _ in range(100):
        np.interp(raw, x, y)
    batch = (time.perf_counter() - started) / 100
    started = time.perf_counter()
    for _ in range(100):
        peer.predict(raw)
    their_batch = (time.perf_counter() - started) / 100
    return [
        Figure(
            name=f"a signal calibrated, {HISTORY} versions",
            value=f"{ours * 1e6:.1f} µs",
            beside=f"scikit-learn, the value alone: {theirs * 1e6:.1f} µs",
        ),
        Figure(
            name="1,000 values at once",
            value=f"{batch * 1e6:.1f} µs",
            beside=f"scikit-learn: {their_batch * 1e6:.1f} µs",
        ),
    ]


def main() -> None:
    """Print the table."""
    walk = Walk()
    started = time.perf_counter()
    found = list(walk.run())
    seconds = time.perf_counter() - started
    calibrated = [entry for entry in found if entry[0].calibration != "none"]
    signals = [signal for signal, _, _ in calibrated]
    won = np.array([w for _, w, _ in calibrated])
    rate = np.array([r for _, _, r in calibrated])
    raw = np.array([signal.raw_confidence for signal in signals])
    forecast = np.array([signal.confidence for signal in signals])
    rows = [
        Figure(
            name="signals with an outcome",
            value=f"{len(found):,}, of them {len(signals):,} calibrated",
            beside=f"{walk.trials:,} trials, {walk.taken:,} taken; {seconds:.1f} s in all",
        )
    ]
    for name, values in (("raw", raw), ("calibrated", forecast), ("win rate of the 90 days before", rate)):
        one = figures(values, won)
        assert one is not None
        rows.append(scores(name, one))
    rows += gains(signals, forecast, won)
    buckets = figures(raw, won)
    assert buckets is not None
    rows += [
        Figure(
            name=f"raw {b.low:.0f} to {b.high:.0f}",
            value=f"{b.win_rate:.1f} % won",
            beside=f"{b.count:,} signals, {forecast[(raw >= b.low) & (raw < b.high)].mean():.1f} % foretold",
        )
        for b in buckets.buckets
        if b.count
    ]
    assert walk.model is not None
    rows += lookups(signals, walk.model)
    show("Calibration, out of time, on the sample", rows, "python -m benchmarks.calibration")


if __name__ == "__main__":
    main()
