"""Bars for the tests: the real sample by batches, and random walks."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from heliograph.common.events import BarBatch
from heliograph.common.ids import derive_id
from heliograph.common.intervals import interval_ns

SAMPLE = Path(__file__).parents[3] / "data" / "sample"
START = 1_700_000_000 * 10**9
COLUMNS = ("open", "high", "low", "close", "volume")

Walk = Callable[..., list[BarBatch]]


def batch_of(symbols: list[str], ts: int, interval: str, columns: np.ndarray) -> BarBatch:
    """A batch from columns of shape (5, symbols)."""
    values = dict(zip(COLUMNS, columns.tolist(), strict=True))
    return BarBatch(
        id=derive_id(ts, interval, *symbols),
        ts=ts,
        interval=interval,
        symbols=symbols,
        source="test",
        **values,
    )


@pytest.fixture(scope="session")
def sample() -> list[BarBatch]:
    """All bars of data/sample in the order of their times, a batch for each time and interval."""
    batches = []
    for name, interval in (("sp500_daily", "1d"), ("btcusd_hourly", "1h")):
        table = parquet.read_table(SAMPLE / f"{name}.parquet").sort_by(
            [("ts", "ascending"), ("symbol", "ascending")]
        )
        symbols = table["symbol"].to_pylist()
        ts = table["ts"].to_numpy().astype("datetime64[ns]").astype(np.int64)
        columns = np.array([table[column].to_numpy() for column in COLUMNS])
        edges = [0, *(np.flatnonzero(np.diff(ts)) + 1).tolist(), len(ts)]
        batches += [batch_of(symbols[a:b], int(ts[a]), interval, columns[:, a:b]) for a, b in pairwise(edges)]
    return sorted(batches, key=lambda batch: batch.ts + interval_ns(batch.interval))


@pytest.fixture(scope="session")
def walk() -> Walk:
    """Random walks that give signals: `walk(seed, symbols, bars)`, a batch a bar."""

    def make(
        seed: int, symbols: list[str], bars: int, interval: str = "1h", volatility: float = 0.01
    ) -> list[BarBatch]:
        random = np.random.default_rng(seed)
        shape = (bars, len(symbols))
        close = 50 * np.exp(np.cumsum(random.normal(0.0, volatility, shape), axis=0))
        open_ = close * (1 + random.normal(0.0, volatility / 3, shape))
        high = np.maximum(open_, close) * (1 + random.uniform(0, volatility / 3, shape))
        low = np.minimum(open_, close) * (1 - random.uniform(0, volatility / 3, shape))
        volume = random.uniform(0, 2e6, shape)
        step = interval_ns(interval)
        return [
            batch_of(
                symbols,
                START + n * step,
                interval,
                np.array([open_[n], high[n], low[n], close[n], volume[n]]),
            )
            for n in range(bars)
        ]

    return make
