"""What the swing source sees of a symbol, as figures: for a person who asks why, and for pattern search."""

from typing import Literal

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from heliograph.consensus.engine.indicators import rsi
from heliograph.consensus.engine.layout import AVERAGES, CLOSES, SLOPE, Floats, Symbol
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.sessions import TimeOfDay, bars_a_day, time_of_day
from heliograph.consensus.engine.swing import (
    ENTRIES,
    LEVELS,
    alignment_of,
    extremes_of,
    pocket,
    setup_of,
    strength_of,
)

WINDOW = 20
WIDTHS = 60
LOW_SHARE = 33
HIGH_SHARE = 66

Volatility = Literal["low", "middle", "high", "unknown"]


class SwingPicture(msgspec.Struct, frozen=True, kw_only=True):
    """The newest bar of a symbol in the terms of the swing source.

    Attributes:
        ts: start of the bar, UTC nanoseconds.
        label: of the trend: −2 strongly down, −1, 0 sideways, +1, +2 strongly up.
        slope: of EMA20 over six bars as a fraction of the price.
        rsi: RSI14, 0–100; `atr` ATR14 and `ema` EMA20 in quote currency.
        width: Bollinger band of 20 bars and 2 standard deviations (of the population) over the price.
        volatility: the width among the newest 60: up to the 33rd percentile, from the 66th on, or between.
        swing: side of the last swing, with its `high` and `low` of 40 bars.
        levels: Fibonacci level → price, measured back from the swing's end; empty without a swing.
        pocket: its golden pocket, the lower price first; zeros without a swing.
        entry_kind: `pocket`, `continuation`, `reversal` or `none`; zeros stand for the prices of none.
        side: of the entry, −1, 0, +1; `reward` its R.
        alignment: higher timeframes with this side less those against it.
        strength: 20-bar return less the benchmark's; 0 without one.
        time_of_day: part of the US session; `bars_a_day` bars of a whole one.
    """

    ts: int
    label: int
    slope: float
    rsi: float
    atr: float
    ema: float
    width: float
    volatility: Volatility
    swing: int
    high: float
    low: float
    levels: dict[float, float]
    pocket: tuple[float, float]
    entry_kind: str
    side: int
    entry: float
    stop: float
    target: float
    reward: float
    alignment: int
    strength: float
    time_of_day: TimeOfDay
    bars_a_day: int


def widths_of(symbol: Symbol) -> Floats:
    """Bollinger widths over the prices of the newest bars, at most 60, the newest last."""
    count = min(symbol.bars, WIDTHS + WINDOW - 1)
    closes = symbol.closes[np.arange(symbol.bars - count, symbol.bars) % CLOSES]
    windows = sliding_window_view(closes, WINDOW)
    found: Floats = 4.0 * windows.std(axis=1) / closes[WINDOW - 1 :]
    return found


def volatility_of(widths: Floats) -> Volatility:
    """Where the newest of 60 widths lies among them; unknown with fewer."""
    if len(widths) < WIDTHS:
        return "unknown"
    low, high = np.percentile(widths, [LOW_SHARE, HIGH_SHARE])
    if widths[-1] <= low:
        return "low"
    return "high" if widths[-1] >= high else "middle"


def picture_of(symbol: Symbol, benchmark: Symbol, rules: Rules) -> SwingPicture:
    """The picture of a symbol that has its 60 bars."""
    newest = symbol.bars - 1
    label, kind, side, entry, stop, target = setup_of(symbol, rules)
    swing, high, low = extremes_of(symbol)
    end = high if swing > 0 else low
    ema, before = symbol.emas_20[newest % AVERAGES], symbol.emas_20[(newest - SLOPE) % AVERAGES]
    widths = widths_of(symbol)
    return SwingPicture(
        ts=int(symbol.last_ts),
        label=label,
        slope=float((ema - before) / symbol.close),
        rsi=float(rsi(symbol.average_gain, symbol.average_loss, symbol.close)),
        atr=float(symbol.atr_14),
        ema=float(ema),
        width=float(widths[-1]),
        volatility=volatility_of(widths),
        swing=swing,
        high=float(high),
        low=float(low),
        levels={level: float(end - swing * level * (high - low)) for level in LEVELS} if swing else {},
        pocket=(min(pocket(swing, high, low)), max(pocket(swing, high, low))) if swing else (0.0, 0.0),
        entry_kind=ENTRIES[kind],
        side=side,
        entry=float(entry),
        stop=float(stop),
        target=float(target),
        reward=float((target - entry) / (entry - stop)) if kind else 0.0,
        alignment=alignment_of(symbol, side) if kind else 0,
        strength=strength_of(symbol, benchmark),
        time_of_day=time_of_day(int(symbol.last_ts), int(symbol.interval_ns)),
        bars_a_day=bars_a_day(int(symbol.interval_ns)),
    )
