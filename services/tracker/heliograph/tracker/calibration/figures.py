"""How well probabilities agree with what happened: Brier score, calibration error, log loss, reliability.

Forecasts come in percent, as in `Signal`; the scores are of probabilities 0–1, as in the literature.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np

from heliograph.common.calibration import PERCENT, Floats

BINS = 15
EDGES = tuple(np.linspace(0.0, PERCENT, BINS + 1).tolist())
BUCKETS = (0.0, 75.0, 85.0, 95.0, PERCENT)
"""Edges of the buckets < 75, 75–85, 85–95 and ≥ 95."""
SURE = 5e-5
"""A forecast counts in the log loss as no nearer to 0 or 1: half of the step in which signals show it."""


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Forecasts from `low` (inclusive) to `high` (exclusive, but for 100), percent.

    Attributes:
        count: how many.
        forecast: their mean, percent; None without any.
        win_rate: how many of them won, percent; None without any.
    """

    low: float
    high: float
    count: int
    forecast: float | None
    win_rate: float | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one set of forecasts.

    Attributes:
        brier: mean of (p − won)².
        ece: expected calibration error: Σ nᵇ/n · |mean p − win rate| over 15 equal bins.
        log_loss: −mean of ln p of what happened.
        forecast: mean forecast, percent; `win_rate` what came of it.
        bins: the reliability diagram; `buckets` the same at < 75, 75–85, 85–95 and ≥ 95.
    """

    count: int
    brier: float
    ece: float
    log_loss: float
    forecast: float
    win_rate: float
    bins: list[Bin]
    buckets: list[Bin]


def figures(forecast: Floats, won: Floats) -> Figures | None:
    """The figures of forecasts, None without any.

    Args:
        forecast: percent, 0–100; shape (n,).
        won: 1.0 for a win, 0.0 for none; shape (n,).
    """
    if not forecast.size:
        return None
    bins = binned(forecast, won, EDGES)
    sure = np.clip(forecast / PERCENT, SURE, 1.0 - SURE)
    return Figures(
        count=forecast.size,
        brier=brier(forecast, won),
        ece=expected_calibration_error(bins),
        log_loss=float(-np.mean(np.log(np.where(won > 0, sure, 1.0 - sure)))),
        forecast=float(forecast.mean()),
        win_rate=float(PERCENT * won.mean()),
        bins=bins,
        buckets=binned(forecast, won, BUCKETS),
    )


def brier(forecast: Floats, won: Floats) -> float:
    """Mean squared difference of the forecasts (percent) and what happened (0 or 1), of probabilities."""
    return float(np.mean((forecast / PERCENT - won) ** 2))


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance of forecast and win rate in the bins, weighted by their counts, of probabilities."""
    total = sum(b.count for b in bins)
    apart = sum(
        b.count * abs(b.forecast - b.win_rate)
        for b in bins
        if b.forecast is not None and b.win_rate is not None
    )
    return apart / total / PERCENT


def binned(forecast: Floats, won: Floats, edges: Sequence[float]) -> list[Bin]:
    """Forecasts (percent) by bins between neighbouring edges; every forecast is in one of them."""
    place = np.clip(np.searchsorted(edges, forecast, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(place, minlength=len(edges) - 1)
    sums = np.bincount(place, weights=forecast, minlength=counts.size)
    wins = np.bincount(place, weights=won, minlength=counts.size)
    return [
        Bin(
            low=low,
            high=high,
            count=int(count),
            forecast=float(total / count) if count else None,
            win_rate=float(PERCENT * won_there / count) if count else None,
        )
        for (low, high), count, total, won_there in zip(pairwise(edges), counts, sums, wins, strict=True)
    ]
