"""Exponential averages and the ADX, as TA-Lib computes them (it is the oracle in the tests)."""

from collections.abc import Sequence


def exponential(values: Sequence[float], length: int) -> float | None:
    """The newest EMA: factor 2 ÷ (length + 1), begun with the mean of the first `length` values."""
    if len(values) < length:
        return None
    average = sum(values[:length]) / length
    for value in values[length:]:
        average += (value - average) * 2 / (length + 1)
    return average


def adx(high: Sequence[float], low: Sequence[float], close: Sequence[float], length: int) -> float | None:
    """The newest average directional index, 0 to 100 (Wilder 1978); None with fewer than 2·length bars."""
    bars = len(close)
    if bars < 2 * length:
        return None
    up = down = span = 0.0
    index, found = 0.0, 0
    for i in range(1, bars):
        rose, fell = high[i] - high[i - 1], low[i - 1] - low[i]
        range_ = max(high[i], close[i - 1]) - min(low[i], close[i - 1])
        if i >= length:  # Wilder's smoothing: a length's part of the sum goes, the new value comes
            up, down, span = (total - total / length for total in (up, down, span))
        up += rose if rose > max(fell, 0) else 0.0
        down += fell if fell > max(rose, 0) else 0.0
        span += range_
        if i < length:
            continue
        both = up + down
        direction = 100 * abs(up - down) / both if both > 0 and span > 0 else 0.0
        found += 1
        if found <= length:
            index += direction / length
        else:
            index += (direction - index) / length
    return index
