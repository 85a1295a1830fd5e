"""Daily bars of one symbol from a folder of Parquet files."""

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

from heliograph.common.errors import InputError
from heliograph.reasoning.panel.company import Prices

COLUMNS = ["ts", "high", "low", "close", "volume"]
DAILY = timedelta(hours=20)
"""Bars closer together than that are no daily ones."""


def read(folder: Path, symbol: str) -> Prices | None:
    """The daily bars of a symbol, oldest first; None where no file has them.

    Bars without a price above 0 are left out.

    Raises:
        InputError: a file is none of bars.
    """
    # Arrow is needed by this one function, and takes longer to import than all of the rest.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    rows: dict[date, tuple[float, ...]] = {}
    for path in sorted(folder.glob("*.parquet")):
        try:
            table = pq.read_table(path, columns=COLUMNS, filters=[("symbol", "=", symbol)])
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{path}: {error}, expected bars with the columns symbol, {', '.join(COLUMNS)}"
            ) from None
        columns = [table[name].to_pylist() for name in COLUMNS]
        times = columns[0]
        if len(times) > 1 and min(b - a for a, b in pairwise(times)) < DAILY:
            continue
        for row in zip(*columns, strict=True):
            if all(value is not None for value in row) and min(row[1:4]) > 0:
                rows[row[0].date()] = row[1:]
    if not rows:
        return None
    days = tuple(sorted(rows))
    high, low, close, volume = zip(*(rows[day] for day in days), strict=True)
    return Prices(days=days, high=high, low=low, close=close, volume=volume)
