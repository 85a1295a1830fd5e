"""Indicators against TA-Lib on real data, and against exact sums over a million bars."""

import math
from collections.abc import Callable

import numba
import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import recfunctions
from numpy.lib.stride_tricks import sliding_window_view

from heliograph.common.events import BarBatch
from heliograph.consensus.engine import Engine
from heliograph.consensus.engine.indicators import absorb, change_over, rsi, side_of, spread
from heliograph.consensus.engine.layout import SYMBOL, Floats, Records
from heliograph.consensus.engine.state import blank

TOLERANCE = 1e-9
COLUMNS = ("open", "high", "low", "close", "volume")
Walk = Callable[..., list[BarBatch]]
Feed = Callable[[Records, Floats, Floats], None]


@pytest.fixture(scope="module")
def histories(sample: list[BarBatch]) -> dict[str, tuple[Floats, Records]]:
    """Of every symbol of the sample: bars (5, n) as taken and the indicators after each of them (n,)."""
    engine = Engine()
    scalars = [name for name in SYMBOL.names or () if not SYMBOL[name].shape]
    symbols, bars, records = [], [], []
    for seq, batch in enumerate(sample, 1):
        rows = engine.state.rows_of(batch.symbols)
        before = engine.state.symbols["bars"][rows]
        engine.apply(batch, seq)
        taken = engine.state.symbols["bars"][rows] > before
        symbols.append(rows[taken])
        bars.append(np.array([getattr(batch, name) for name in COLUMNS])[:, taken])
        records.append(recfunctions.repack_fields(engine.state.symbols[scalars][rows[taken]]))
    numbers, columns, after = np.concatenate(symbols), np.concatenate(bars, axis=1), np.concatenate(records)
    return {
        name: (columns[:, numbers == row], after[numbers == row])
        for row, name in enumerate(engine.state.names)
    }


def same(found: Floats, expected: Floats, scale: Floats | float = 0.0) -> None:
    """Equal where TA-Lib has a value: to 1e-9 of it, or of `scale` where it is a difference of prices."""
    known = ~np.isnan(expected)
    assert known.sum() > len(known) // 2 or len(known) < 200
    margin = TOLERANCE * np.maximum(np.abs(expected), scale)
    assert np.all(np.abs(found - expected)[known] <= margin[known])


def test_equal_to_ta_lib_on_every_symbol(histories: dict[str, tuple[Floats, Records]]) -> None:
    assert len(histories) == 101
    for bars, records in histories.values():
        _, high, low, close, volume = bars
        same(records["close_sum_20"] / 20, talib.SMA(close, 20))
        same(records["close_sum_50"] / 50, talib.SMA(close, 50))
        same(records["close_sum_200"] / 200, talib.SMA(close, 200))
        same(records["volume_sum_20"] / 20, talib.SMA(volume, 20))
        macd, signal, _ = talib.MACD(close, 12, 26, 9)
        known = ~np.isnan(macd)
        same(np.where(known, records["ema_12"] - records["ema_26"], np.nan), macd, close)
        same(records["macd_signal"], signal, close)
        same(records["atr_14"], talib.ATR(high, low, close, 14))
        strength = np.array(
            list(map(rsi, *(records[f].tolist() for f in ("average_gain", "average_loss", "close"))))
        )
        same(strength, talib.RSI(close, 14))


def test_exponential_averages_are_those_of_ta_lib_after_warm_up(
    histories: dict[str, tuple[Floats, Records]],
) -> None:
    """Alone, TA-Lib's EMA12 begins earlier than inside of its MACD: the difference fades."""
    bars, records = histories["AAPL"]
    for name, period in (("ema_12", 12), ("ema_26", 26)):
        same(records[name][400:], talib.EMA(bars[3], period)[400:])


def test_returns_and_their_spread(histories: dict[str, tuple[Floats, Records]]) -> None:
    for symbol in ("AAPL", "AMD", "MRO", "BTCUSD"):
        bars, records = histories[symbol]
        close = bars[3]
        returns = close[1:] / close[:-1] - 1
        for window in (20, 50):
            expected = sliding_window_view(returns, window).std(axis=1, ddof=1)
            sums, squares = records[f"return_sum_{window}"], records[f"return_squares_{window}"]
            found = [spread(a, b, window) for a, b in zip(sums[window:], squares[window:], strict=True)]
            np.testing.assert_allclose(found, expected, rtol=TOLERANCE)


def test_change_over_five_bars(walk: Walk) -> None:
    engine = Engine()
    batches = walk(1, ["A"], 300)
    for seq, batch in enumerate(batches, 1):
        engine.apply(batch, seq)
        if seq > 5:
            change = batch.close[0] / batches[seq - 6].close[0] - 1
            assert change_over(engine.state.symbols.view(np.recarray)[0], 5) == change


@pytest.fixture(scope="module")
def feed() -> Feed:
    """Absorb bars into one record: compiled, so that a million take a moment."""

    @numba.njit(error_model="numpy")
    def run(symbols: Records, closes: Floats, volumes: Floats) -> None:
        for n in range(closes.size):
            absorb(symbols[0], closes[n] * 1.001, closes[n] * 0.999, closes[n], volumes[n])

    found: Feed = run
    return found


def exact(values: Floats, window: int) -> float:
    return math.fsum(values[-window:])


def test_no_drift_over_a_million_bars(feed: Feed) -> None:
    random = np.random.default_rng(7)
    closes = 100 * np.exp(np.cumsum(random.normal(0, 0.001, 1_000_000)))
    volumes = random.lognormal(12, 2, closes.size)
    symbols = blank(1)
    for start in range(0, closes.size, 49_999):
        chunk = slice(start, min(start + 49_999, closes.size))
        feed(symbols, closes[chunk], volumes[chunk])
        held, record = closes[: chunk.stop], symbols[0]
        returns = held[-51:][1:] / held[-51:][:-1] - 1
        for window in (20, 50, 200):
            assert record[f"close_sum_{window}"] == pytest.approx(exact(held, window), rel=TOLERANCE)
        assert record["volume_sum_20"] == pytest.approx(exact(volumes[: chunk.stop], 20), rel=TOLERANCE)
        for window in (20, 50):
            found = spread(record[f"return_sum_{window}"], record[f"return_squares_{window}"], window)
            assert found == pytest.approx(np.std(returns[-window:], ddof=1), rel=TOLERANCE)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(-8, 8), st.integers(201, 700))
def test_a_wild_price_leaves_nothing_behind(feed: Feed, seed: int, decades: float, bars: int) -> None:
    """A price off by decades is gone from every sum two windows later."""
    random = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(random.normal(0, 0.001, bars + 400)))
    closes[:3] *= 10.0**decades
    symbols = blank(1)
    feed(symbols, closes, np.ones(closes.size))
    record = symbols[0]
    for window in (20, 50, 200):
        assert record[f"close_sum_{window}"] == pytest.approx(exact(closes, window), rel=TOLERANCE)
    returns = closes[1:] / closes[:-1] - 1
    for window in (20, 50):
        found = spread(record[f"return_sum_{window}"], record[f"return_squares_{window}"], window)
        assert found == pytest.approx(np.std(returns[-window:], ddof=1), rel=TOLERANCE)


def test_a_flat_price_has_no_spread_and_a_neutral_rsi(feed: Feed) -> None:
    symbols = blank(1)
    feed(symbols, np.full(300, 10.1), np.ones(300))
    record = symbols[0]
    assert spread(record["return_sum_20"], record["return_squares_20"], 20) == 0.0
    assert rsi(record["average_gain"], record["average_loss"], record["close"]) == 50.0


def test_a_steady_growth_has_no_spread(feed: Feed) -> None:
    symbols = blank(1)
    feed(symbols, np.cumprod(np.full(300, 1.01)), np.ones(300))
    for window in (20, 50):
        found = spread(symbols[0][f"return_sum_{window}"], symbols[0][f"return_squares_{window}"], window)
        assert found == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("value", "reference", "side"),
    [(1.0, 1.0, 0), (1.0 + 1e-13, 1.0, 0), (1.0 + 1e-11, 1.0, 1), (1.0 - 1e-11, 1.0, -1), (1.0, math.nan, 0)],
)
def test_side(value: float, reference: float, side: int) -> None:
    assert side_of(value, reference, 1.0) == side
