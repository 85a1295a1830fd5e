"""What a model is told of an instrument: figures of its newest bars, without a scale and coarse. Pure."""

import statistics
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from heliograph.common.subjects import check_symbol

BARS = 21
"""Bars that the figures need: twenty changes."""
MOST = 5.0
"""Beyond so many standard deviations, or times the usual volume, nothing more is told apart."""
CALM = 1e-9


class Bar(msgspec.Struct, frozen=True, gc=False):
    """A bar by its close: `ts` is the close, UTC nanoseconds; prices in quote currency."""

    ts: int
    high: float
    low: float
    close: float
    volume: float


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The figures, at the precision at which they may change a view; the key of the cache is made of all.

    Attributes:
        change_1: change of the close over one bar in standard deviations of such changes, in halves;
            `change_5` and `change_20` likewise, over the square root of their bars.
        place: of the close between the lowest low (0) and the highest high (1) of twenty bars, in quarters.
        volume: against its mean of twenty bars, in halves.
        volatility: standard deviation of the changes, percent a bar, to one digit.
    """

    symbol: str
    interval: str
    change_1: float
    change_5: float
    change_20: float
    place: float
    volume: float
    volatility: float


def picture(symbol: str, interval: str, bars: Sequence[Bar]) -> Picture | None:
    """The picture of an instrument's newest bars, the newest last; None without `BARS` of them.

    Raises:
        InputError: the symbol is none.
    """
    check_symbol(symbol)
    if len(bars) < BARS:
        return None
    held = bars[-BARS:]
    closes = [bar.close for bar in held]
    changes = [after / before - 1.0 for before, after in pairwise(closes)]
    deviation = max(statistics.pstdev(changes), CALM)
    high, low = max(bar.high for bar in held[1:]), min(bar.low for bar in held[1:])
    usual = statistics.fmean(bar.volume for bar in held[1:])
    return Picture(
        symbol=symbol,
        interval=interval,
        **{
            f"change_{n}": _halves((closes[-1] / closes[-1 - n] - 1.0) / (deviation * n**0.5))
            for n in (1, 5, 20)
        },
        place=round(4 * (closes[-1] - low) / (high - low)) / 4 if high > low else 0.5,
        volume=_halves(held[-1].volume / usual) if usual > 0 else 0.0,
        volatility=float(f"{100 * deviation:.0e}"),
    )


def _halves(value: float) -> float:
    """To the nearest half, within ±`MOST`; never a negative zero."""
    return max(-MOST, min(MOST, round(2 * value) / 2)) + 0.0
