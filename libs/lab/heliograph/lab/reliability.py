"""Whether the confidence of signals is the share of them that wins, raw and calibrated, out of time."""

import msgspec
import numpy as np

from heliograph.common.calibration import Calibration
from heliograph.common.outcomes import EXPIRED, OPEN, WIN
from heliograph.lab.bars import DAY_NS, Floats, Integers
from heliograph.lab.chance import BLOCK_WEEKS, DRAWS, Interval, bootstrap, interval
from heliograph.lab.trades import Trades
from heliograph.tracker.calibration.figures import (
    EDGES,
    Figures,
    binned,
    brier,
    expected_calibration_error,
    figures,
)
from heliograph.tracker.calibration.training import ENOUGH, Outcomes, trial

WINDOW_NS = 90 * DAY_NS
"""Outcomes older than this train no more."""
BETTER = 0.1
"""Share by which Brier score and calibration error should fall."""


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """By which share the calibration lowers a score (1 − calibrated/raw), with its interval."""

    value: float
    interval: Interval | None


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """Raw and calibrated confidence on the same ended signals, each calibrated by the past alone.

    Attributes:
        signals: how many ended signals had a calibration at their time; the others are in neither.
        models: calibrations taken on the way, of `trials`.
        raw: figures of the raw confidence; `calibrated` of the calibrated one.
        brier_gain: of the Brier score; `ece_gain` of the calibration error.
        goal_met: both gains are at least 10 % at the low end of their intervals.
        every: figures of the raw confidence over all ended signals.
    """

    signals: int
    models: int
    trials: int
    raw: Figures | None
    calibrated: Figures | None
    brier_gain: Gain | None
    ece_gain: Gain | None
    goal_met: bool
    every: Figures | None


def reliability(trades: Trades, symbols: list[str], strategy: str) -> Reliability:
    """Retrain day by day as the tracker does, and compare on the signals that came later.

    A trial at the start of each UTC day with at least 100 new outcomes, or any new ones a day after the last
    trial, on the outcomes of the last 90 days that ended before; a signal has the newest calibration taken
    before its day.
    """
    ended = trades[trades["result"] != OPEN]
    ended = ended[np.argsort(ended["closed"], kind="stable")]
    won = winning(ended)
    names = np.array(symbols, dtype=np.str_)[ended["symbol"]]
    raw = np.ascontiguousarray(ended["raw"])
    forecast, models, trials = forecasts(Outcomes(names, raw, won, ended["closed"]), ended["ts"], strategy)
    known = ~np.isnan(forecast)
    some = ended[known]
    before, after = raw[known], forecast[known]
    lower = compared(before, after, won[known], np.ascontiguousarray(some["ts"]))
    return Reliability(
        signals=int(known.sum()),
        models=models,
        trials=trials,
        raw=figures(before, won[known]),
        calibrated=figures(after, won[known]),
        brier_gain=lower[0] if lower else None,
        ece_gain=lower[1] if lower else None,
        goal_met=all(gain.interval is not None and gain.interval.low >= BETTER for gain in lower)
        if lower
        else False,
        every=figures(raw, won),
    )


def winning(ended: Trades) -> Floats:
    """1.0 for a win, or an expiry with a profit; 0.0 for the others."""
    won: Floats = ((ended["result"] == WIN) | ((ended["result"] == EXPIRED) & (ended["pnl"] > 0))).astype(
        np.float64
    )
    return won


def forecasts(outcomes: Outcomes, signalled: Integers, strategy: str) -> tuple[Floats, int, int]:
    """The calibrated confidence of each outcome's signal (NaN before the first model), models, trials."""
    found = np.full(len(outcomes.raw), np.nan)
    order = np.argsort(signalled, kind="stable")
    day = signalled[order] // DAY_NS
    model: Calibration | None = None
    models = trials = seen = 0
    for today in np.unique(day).tolist():
        end = int(np.searchsorted(outcomes.ended, today * DAY_NS))
        if end >= ENOUGH and end > seen:
            start = int(np.searchsorted(outcomes.ended, today * DAY_NS - WINDOW_NS))
            tried = trial(outcomes.part(start, end), strategy, model)
            seen = end
            trials += tried is not None
            if tried is not None and tried.taken:
                model = tried.model
                models += 1
        if model is not None:
            mine = order[np.searchsorted(day, today) : np.searchsorted(day, today, side="right")]
            found[mine] = model.at(outcomes.symbols[mine].tolist(), outcomes.raw[mine])
    return found, models, trials


def compared(raw: Floats, calibrated: Floats, won: Floats, ts: Integers) -> tuple[Gain, Gain] | None:
    """The gains in Brier score and calibration error, with intervals from whole blocks of weeks."""
    if not len(raw):
        return None
    week = ts // (7 * DAY_NS)
    rows = [np.flatnonzero(week == w) for w in np.unique(week)]
    drawn: list[tuple[float, float]] = []
    if len(rows) >= 2 * BLOCK_WEEKS:
        numbers = np.arange(len(rows))
        for (weeks,), _ in bootstrap(BLOCK_WEEKS, numbers).bootstrap(DRAWS):
            some = np.concatenate([rows[w] for w in weeks])
            drawn.append(gains(raw[some], calibrated[some], won[some]))
    values = gains(raw, calibrated, won)
    square, error = (
        Gain(value=value, interval=interval([pair[n] for pair in drawn]) if drawn else None)
        for n, value in enumerate(values)
    )
    return square, error


def gains(raw: Floats, calibrated: Floats, won: Floats) -> tuple[float, float]:
    """1 − calibrated/raw of the Brier score and of the calibration error."""
    errors = [expected_calibration_error(binned(values, won, EDGES)) for values in (raw, calibrated)]
    return fall(brier(raw, won), brier(calibrated, won)), fall(*errors)


def fall(before: float, after: float) -> float:
    """By which share a score fell."""
    return 1.0 - after / before if before > 0 else 0.0


def reached(gain: Gain) -> bool:
    """Whether the goal is met also at the low end of the interval."""
    return gain.interval is not None and gain.interval.low >= BETTER
