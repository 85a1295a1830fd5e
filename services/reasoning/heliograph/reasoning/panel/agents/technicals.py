"""Five readings of the daily prices, weighted by what each is sure of."""

# ruff: noqa: PLR2004 - the rules' own numbers stand where they apply

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from heliograph.reasoning.panel.agents.averages import adx, exponential
from heliograph.reasoning.panel.company import Company, Prices
from heliograph.reasoning.panel.opinion import Abstention, Opinion, Stance, View

NAME = "technicals"
BARS = 126
"""Half a year: with fewer bars there is no opinion."""
UNDECIDED = 0.5
"""Confidence of a reading that says neutral."""
BEYOND = 0.2
YEAR = math.sqrt(252)
LAGS = np.arange(2, 20)

Floats = NDArray[np.float64]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One part's stance: sign −1, 0, +1; confidence 0–1."""

    sign: int
    confidence: float


def analyse(company: Company) -> View:
    """Σ sign·weight·confidence ÷ Σ weight·confidence over the parts with bars enough, beyond ±0.2."""
    prices = company.prices
    if prices is None or len(prices) < BARS:
        found = 0 if prices is None else len(prices)
        return Abstention(agent=NAME, ticker=company.ticker, reason=f"{found} daily bars, {BARS} are needed")
    readings = {name: reading for name, (_, part) in PARTS.items() if (reading := part(prices)) is not None}
    score = combine(readings)
    if score is None:
        return Abstention(agent=NAME, ticker=company.ticker, reason="no part of it can be read")
    signal: Stance = "bullish" if score > BEYOND else "bearish" if score < -BEYOND else "neutral"
    words = {1: "up", 0: "neutral", -1: "down"}
    return Opinion(
        agent=NAME,
        ticker=company.ticker,
        signal=signal,
        confidence=abs(score),
        reasoning="; ".join(f"{name} {words[r.sign]} ({r.confidence:.2f})" for name, r in readings.items()),
        facts={"score": score, "parts": {name: msgspec.structs.asdict(r) for name, r in readings.items()}},
    )


def combine(readings: dict[str, Reading]) -> float | None:
    """The weighted mean of the signs, −1 to +1; None where nothing is sure of anything."""
    weights = {name: PARTS[name][0] * reading.confidence for name, reading in readings.items()}
    total = sum(weights.values())
    if total <= 0:
        return None
    return float(sum(weights[name] * reading.sign for name, reading in readings.items()) / total)


def trend(prices: Prices) -> Reading | None:
    """The order of the EMAs of 8, 21 and 55 bars; sure as far as the ADX of 14 bars goes."""
    fast, middle, slow = (exponential(prices.close, n) for n in (8, 21, 55))
    directional = adx(prices.high, prices.low, prices.close, 14)
    if fast is None or middle is None or slow is None or directional is None:
        return None
    strength = min(directional / 100, 1.0)
    if fast > middle > slow:
        return Reading(sign=1, confidence=strength)
    if fast < middle < slow:
        return Reading(sign=-1, confidence=strength)
    return Reading(sign=0, confidence=UNDECIDED)


def mean_reversion(prices: Prices) -> Reading | None:
    """Two deviations off the mean of 50 closes, and near the edge of the Bollinger band of 20."""
    close = _array(prices.close)
    deviation = float(close[-50:].std(ddof=1))
    band = close[-20:]
    half = 2 * float(band.std(ddof=0))
    if len(close) < 50 or deviation == 0 or half == 0:
        return None
    z = (close[-1] - float(close[-50:].mean())) / deviation
    place = (close[-1] - (float(band.mean()) - half)) / (2 * half)
    if z < -2 and place < 0.2:
        return Reading(sign=1, confidence=float(min(abs(z) / 4, 1.0)))
    if z > 2 and place > 0.8:
        return Reading(sign=-1, confidence=float(min(abs(z) / 4, 1.0)))
    return Reading(sign=0, confidence=UNDECIDED)


def momentum(prices: Prices) -> Reading | None:
    """0.4 · the return of 21 days + 0.3 · of 63 + 0.3 · of 126, beyond ±5 % on more volume than usual."""
    close, volume = _array(prices.close), _array(prices.volume)
    if len(close) <= BARS or volume[-21:].mean() <= 0:
        return None
    moved = sum(w * (close[-1] / close[-1 - n] - 1) for w, n in ((0.4, 21), (0.3, 63), (0.3, 126)))
    confirmed = volume[-1] > volume[-21:].mean()
    if confirmed and abs(moved) > 0.05:
        return Reading(sign=1 if moved > 0 else -1, confidence=float(min(abs(moved) * 5, 1.0)))
    return Reading(sign=0, confidence=UNDECIDED)


def volatility(prices: Prices) -> Reading | None:
    """The volatility of 21 days against its own mean of 63: calm is bullish, unrest bearish."""
    returns = _returns(prices)
    if len(returns) < 21 + 62:
        return None
    series = np.array([returns[i : i + 21].std(ddof=1) for i in range(len(returns) - 20)])[-63:] * YEAR
    mean, deviation = float(series.mean()), float(series.std(ddof=1))
    if mean == 0 or deviation == 0:
        return None
    ratio, z = series[-1] / mean, (series[-1] - mean) / deviation
    if ratio < 0.8 and z < -1:
        return Reading(sign=1, confidence=float(min(abs(z) / 3, 1.0)))
    if ratio > 1.2 and z > 1:
        return Reading(sign=-1, confidence=float(min(abs(z) / 3, 1.0)))
    return Reading(sign=0, confidence=UNDECIDED)


def statistical(prices: Prices) -> Reading | None:
    """A Hurst exponent below 0.4 (prices that turn back) with returns of 63 days skewed beyond ±1."""
    returns = _returns(prices)[-63:]
    exponent = hurst(_array(prices.close))
    if len(returns) < 63 or exponent is None:
        return None
    skewed = skew(returns)
    if exponent < 0.4 and skewed is not None and abs(skewed) > 1:
        return Reading(sign=1 if skewed > 0 else -1, confidence=float(min((0.5 - exponent) * 2, 1.0)))
    return Reading(sign=0, confidence=UNDECIDED)


def hurst(close: Floats) -> float | None:
    """The Hurst exponent of log prices: slope of log deviation of differences over log lag, lags 2 to 19."""
    logs = np.log(close)
    spread = np.array([(logs[lag:] - logs[:-lag]).std() for lag in LAGS])
    if (spread <= 0).any():
        return None
    return float(np.polyfit(np.log(LAGS), np.log(spread), 1)[0])


def skew(values: Floats) -> float | None:
    """Sample skewness, adjusted for its bias (Fisher–Pearson); None where nothing varies."""
    n = len(values)
    centred = values - values.mean()
    variance = float((centred**2).mean())
    if variance == 0:
        return None
    third = float((centred**3).mean())
    return float(math.sqrt(n * (n - 1)) / (n - 2) * third / variance**1.5)


PARTS: dict[str, tuple[float, Callable[[Prices], Reading | None]]] = {
    "trend": (0.25, trend),
    "mean reversion": (0.20, mean_reversion),
    "momentum": (0.25, momentum),
    "volatility": (0.15, volatility),
    "statistical": (0.15, statistical),
}
"""Weight and rule of each part."""


def _array(values: Sequence[float]) -> Floats:
    return np.array(values, dtype=np.float64)


def _returns(prices: Prices) -> Floats:
    close = _array(prices.close)
    returns: Floats = close[1:] / close[:-1] - 1
    return returns
