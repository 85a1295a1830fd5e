"""Higher timeframes: their labels against TA-Lib over resampled closes of the real sample."""

import numpy as np
import pytest
import talib

from heliograph.common.events import BarBatch
from heliograph.common.intervals import INTERVALS_NS, interval_ns
from heliograph.consensus.engine import Engine, Rules
from heliograph.consensus.engine.frames import frames_of
from heliograph.consensus.engine.layout import FRAMES
from heliograph.consensus.engine.trends import label_of

RULES = Rules()
HOUR = interval_ns("1h")
DAY = interval_ns("1d")


@pytest.mark.parametrize(
    ("interval", "frames"),
    [
        ("1m", ("15m", "1h")), ("5m", ("15m", "1h")), ("15m", ("1h", "4h")), ("30m", ("1h", "4h")),
        ("1h", ("4h", "1d")), ("4h", ("1d", "1w")), ("1d", ("1w", None)), ("1w", (None, None)),
    ],
)  # fmt: skip
def test_the_two_timeframes_above(interval: str, frames: tuple[str | None, str | None]) -> None:
    names = {length: name for name, length in INTERVALS_NS.items()}
    assert tuple(names.get(length) for length in frames_of(interval_ns(interval))) == frames


def labels_of(closes: list[float]) -> int:
    """The label after so many complete bars."""
    if len(closes) < 26:
        return 0
    close = np.array(closes)
    ema, strength = talib.EMA(close, 20), talib.RSI(close, 14)
    return label_of(close[-1], ema[-1], ema[-7], strength[-1], RULES)


@pytest.mark.parametrize(
    ("symbol", "frame", "length", "shift"),
    [("BTCUSD", 0, 4 * HOUR, 0), ("BTCUSD", 1, DAY, 0), ("AAPL", 0, 7 * DAY, 3 * DAY)],
)
def test_labels_of_complete_bars(
    sample: list[BarBatch], symbol: str, frame: int, length: int, shift: int
) -> None:
    engine = Engine()
    complete: list[float] = []
    under_way: tuple[int, float] | None = None
    seen = set()
    for batch in [b for b in sample if symbol in b.symbols][:2500]:
        row = batch.symbols.index(symbol)
        close = batch.close[row]
        period = (batch.ts + shift) // length
        if under_way is not None and under_way[0] != period:
            complete.append(under_way[1])
        under_way = (period, close)
        if (batch.ts + interval_ns(batch.interval) + shift) % length == 0:
            complete.append(close)
            under_way = None
        engine.apply(batch, 1)
        record = engine.state.symbols[engine.state.row_of(symbol)]
        assert record["frame_bars"][frame] == len(complete)
        label = int(record["frame_label"][frame])
        if len(complete) % 5 == 0:
            assert label == labels_of(complete)
        seen.add(label)
    assert len(seen) > 2


def test_a_gap_ends_the_bar_before_it() -> None:
    """Three hourly bars, a night, one bar: the bar of four hours before it has the last close."""
    engine = Engine()
    for hour, close in ((0, 10.0), (1, 11.0), (2, 12.0), (20, 13.0)):
        one = [close]
        batch = BarBatch(
            id="", ts=hour * HOUR, interval="1h", symbols=["A"], open=one, high=one, low=one, close=one,
            volume=one, source="test",
        )  # fmt: skip
        engine.apply(batch, hour + 1)
    record = engine.state.symbols[0]
    assert record["frame_bars"].tolist() == [1, 0]
    assert record["frame_close"][0] == 12.0
    assert len(record["frame_bars"]) == FRAMES
