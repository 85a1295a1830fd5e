"""Bad rows through the whole stack: a counted quarantine, and never a wrong signal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.engines import by_engines
from tests.running import Running, same

DAY_NS = 86_400_000_000_000
COLUMNS = ("symbol", "ts", "open", "high", "low", "close", "volume")

pytestmark = pytest.mark.timeout(300)


def walk(symbol: str, days: int, seed: int) -> dict[str, Any]:
    """Plausible bars of one symbol."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0.001, 0.02, days)))
    open_ = close * (1 + random.normal(0, 0.005, days))
    return {
        "symbol": [symbol] * days,
        "ts": np.arange(days) * DAY_NS + 1_600_000_000 * 10**9 // DAY_NS * DAY_NS,
        "open": open_,
        "high": np.maximum(open_, close) * 1.01,
        "low": np.minimum(open_, close) * 0.99,
        "close": close,
        "volume": random.uniform(1e5, 1e6, days),
    }


def write(folder: Path, name: str, *tables: dict[str, Any]) -> None:
    """A Parquet file of some bars."""
    columns = {c: np.concatenate([np.asarray(t[c]) for t in tables]) for c in COLUMNS}
    columns["ts"] = pa.array(columns["ts"], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table(columns), folder / name)


def test_bad_rows_are_counted_and_two_thousand_symbols_go_on(
    once: Callable[..., Running], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    names = ("BRK.B", "BTC/USD", "A B", "AAPL")
    tables = {name: walk(name, 300, seed) for seed, name in enumerate(names)}
    bad = tables["AAPL"]
    bad["close"][100] = np.nan
    bad["open"][101] = -5.0
    bad["high"][102] = bad["low"][102] / 2
    bad["volume"][103] = np.inf
    bad["ts"][150] = bad["ts"][149]
    bad["ts"][200] = bad["ts"][190]
    write(data, "bars.parquet", *tables.values())
    pq.write_table(pq.read_table(data / "bars.parquet").slice(0, 0), data / "empty.parquet")
    write(data, "many.parquet", *(walk(f"S{n:04d}", 20, n) for n in range(2_000)))
    summary = once("--data", str(data)).summary()
    assert sum(summary["quarantined"].values()) == 6
    assert len(summary["quarantined"]) >= 4
    assert summary["bars"] == 4 * 300 - 6 + 2_000 * 20
    assert summary["dead"] == 0
    assert summary["signals"] > 0
    assert same(summary) == by_engines(data)


def test_one_symbol_alone_goes_all_the_way(
    once: Callable[..., Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `pattern` in the vote, which rests on what became of the symbol's own signals."""
    data = tmp_path / "data"
    data.mkdir()
    write(data, "bars.parquet", walk("BRK.B", 700, 8))
    without = by_engines(data)
    monkeypatch.setenv("HELIOGRAPH_SOURCES", '["trend", "technical", "swing", "pattern"]')
    summary = once("--data", str(data)).summary()
    assert summary["bars"] == 700
    assert summary["dead"] == 0
    assert summary["signals"] == summary["reasons"] > 0
    assert same(summary) == by_engines(data)
    assert summary["signals_sha256"] != without["signals_sha256"]
