"""Isotonic regression of wins on raw confidence, as breakpoints.

The best fit, in squared error, among all functions that never fall (pool adjacent violators). It is constant
over blocks of scores; between the last score of a block and the first of the next it is a straight line.
"""

import numpy as np

from heliograph.common.calibration import PERCENT, Curve, Floats

DECIMALS = 4
"""Of a probability in percent: a hundredth of what a signal shows."""


def fit(raw: Floats, won: Floats, most: int) -> Curve:
    """The isotonic regression of `won` on `raw`.

    Args:
        raw: raw confidences, 0–100; shape (n,), n ≥ 1.
        won: 1.0 for a win, 0.0 for none; shape (n,).
        most: breakpoints at most, at least 2; of more, evenly chosen ones stay.
    """
    from scipy.optimize import isotonic_regression  # noqa: PLC0415 - 37 MB that only a training needs

    scores, place, counts = np.unique(raw, return_inverse=True, return_counts=True)
    rates = np.bincount(place, weights=won) / counts
    solved = isotonic_regression(rates, weights=counts.astype(np.float64))
    ends = np.unique(np.concatenate([solved.blocks[:-1], solved.blocks[1:] - 1]))
    return curve(scores[ends], PERCENT * solved.x[ends], most)


def drawn(own: Curve, pool: Curve, weight: float, most: int) -> Curve:
    """The mean of a curve and the pool's: `weight` (0–1) for its own, the rest for the pool's."""
    raw = np.union1d(own.raw, pool.raw)
    return curve(raw, weight * own.at(raw) + (1.0 - weight) * pool.at(raw), most)


def curve(raw: Floats, win: Floats, most: int) -> Curve:
    """A curve of at most `most` of these breakpoints, the first and the last always among them."""
    kept = np.unique(np.linspace(0, raw.size - 1, min(most, raw.size)).round().astype(np.int64))
    rounded = np.clip(win[kept].round(DECIMALS), 0.0, PERCENT)
    return Curve(raw=raw[kept].tolist(), win=rounded.tolist())
