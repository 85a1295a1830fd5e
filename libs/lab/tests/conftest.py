"""Bars for the tests: the real sample, and folders made of a few rows."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from heliograph.common.intervals import interval_ns
from heliograph.lab.bars import Bars

ROOT = Path(__file__).resolve().parents[3]
START = 1_577_836_800 * 10**9
"""2020-01-01."""

MakeFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def sample() -> Path:
    """The sample that ships with the project."""
    return ROOT / "data" / "sample"


def walk(seed: int, bars: int, volatility: float = 0.01) -> np.ndarray:
    """A random walk that gives signals: open, high, low, close, volume; shape (5, bars)."""
    random = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(random.normal(0.0, volatility, bars)))
    open_ = close * (1 + random.normal(0.0, volatility / 3, bars))
    high = np.maximum(open_, close) * (1 + random.uniform(0, volatility / 3, bars))
    low = np.minimum(open_, close) * (1 - random.uniform(0, volatility / 3, bars))
    return np.array([open_, high, low, close, random.uniform(0, 2e6, bars)])


def write(folder: Path, name: str, symbol: Sequence[str], ts: Sequence[int], columns: np.ndarray) -> None:
    """One Parquet file of bars."""
    folder.mkdir(exist_ok=True)
    values = dict(zip(("open", "high", "low", "close", "volume"), columns, strict=True))
    times = pa.array(ts, pa.int64()).cast(pa.timestamp("ns", "UTC"))
    parquet.write_table(pa.table({"symbol": symbol, "ts": times, **values}), folder / f"{name}.parquet")


@pytest.fixture
def walks(tmp_path: Path) -> MakeFolder:
    """A folder of random walks: `walks({"AAPL": 300}, interval="1d", seed=1)`, bars by symbol."""

    def make(symbols: dict[str, int], interval: str = "1d", seed: int = 1, name: str = "walks") -> Path:
        step = interval_ns(interval)
        rows = [(s, n, walk(seed + k, n)) for k, (s, n) in enumerate(symbols.items())]
        write(
            tmp_path / name,
            interval,
            [s for s, n, _ in rows for _ in range(n)],
            [START + t * step for _, n, _ in rows for t in range(n)],
            np.concatenate([columns for *_, columns in rows], axis=1),
        )
        return tmp_path / name

    return make


@pytest.fixture
def daily() -> Callable[..., Bars]:
    """Daily bars by closes, one list a symbol; open, high and low are the close."""

    def make(**closes: list[float]) -> Bars:
        close = np.concatenate([np.array(values, float) for values in closes.values()])
        counts = [len(values) for values in closes.values()]
        ts = np.concatenate([START + np.arange(n) * interval_ns("1d") for n in counts])
        return Bars(
            symbols=list(closes),
            intervals=["1d"] * len(counts),
            starts=np.concatenate(([0], np.cumsum(counts))),
            ts=ts,
            open=close,
            high=close,
            low=close,
            close=close,
            volume=np.ones(len(close)),
        )

    return make
