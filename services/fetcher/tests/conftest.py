"""Fixtures of the fetcher: folders of Parquet files and tables of rows."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.kraken_server import KrakenServer
from tests.massive_server import MassiveServer

from heliograph.fetcher.provider import Rows

DAY_NS = 86_400 * 10**9
START = 16_000 * DAY_NS
Row = tuple[str, int, float, float, float, float, float]


def bars(symbol: str, count: int, step: int = DAY_NS, start: int = START, price: float = 100.0) -> list[Row]:
    """Good bars of one symbol, one a step."""
    found = []
    for number in range(count):
        base = price + number % 7
        found.append((symbol, start + number * step, base, base + 2, base - 1, base + 1, 1000.0 + number))
    return found


def table_of(rows: Sequence[Row]) -> pa.Table:
    """Rows as the Parquet files have them."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    names = ("open", "high", "low", "close", "volume")
    return pa.table(
        {
            "symbol": pa.array(columns[0], pa.string()),
            "ts": pa.array(columns[1], pa.timestamp("ns", "UTC")),
            **{n: pa.array(c, pa.float64()) for n, c in zip(names, columns[2:], strict=True)},
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of Parquet files from rows: `folder({"a.parquet": rows})`."""

    def make(files: dict[str, Any], name: str = "data") -> Path:
        made = tmp_path / name
        made.mkdir(exist_ok=True)
        for file, rows in files.items():
            content = rows if isinstance(rows, pa.Table) else table_of(rows)
            pq.write_table(content, made / file)
        return made

    return make


@pytest.fixture
def make_bars() -> Callable[..., list[Row]]:
    """Good bars of one symbol."""
    return bars


@pytest.fixture
def make_rows() -> Callable[..., Rows]:
    """Columns from rows, as a provider gives them."""

    def make(rows: Sequence[Row], origin: str = "a.parquet") -> Rows:
        symbols = list(dict.fromkeys(r[0] for r in rows))
        columns = [np.array([r[i] for r in rows], dtype=np.float64) for i in range(2, 7)]
        names = ("open", "high", "low", "close", "volume")
        return Rows(
            origin=origin,
            symbols=symbols,
            code=np.array([symbols.index(r[0]) for r in rows], dtype=np.int32),
            ts=np.array([r[1] for r in rows], dtype=np.int64),
            splits={},
            **dict(zip(names, columns, strict=True)),
        )

    return make


@pytest.fixture
async def server() -> AsyncIterator[MassiveServer]:
    """One that speaks as Massive does."""
    made = MassiveServer()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def kraken() -> AsyncIterator[KrakenServer]:
    """One that speaks as Kraken does."""
    made = KrakenServer()
    await made.start()
    yield made
    await made.stop()
