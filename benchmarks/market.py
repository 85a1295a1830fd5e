"""A market of any size made of the sample's real price paths, as one-minute bars.

A day's move becomes a minute's by the square root of time: the logarithm of each price, from the path's
first, is divided by √390 (the minutes of a session), which keeps every bar's shape and order. Prices are in
whole cents, as the ones of an exchange are: a price of seventeen digits would be half of the bytes.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from heliograph.common.bus import Message
from heliograph.common.clock import NANOSECONDS
from heliograph.common.events import BarBatch, encode
from heliograph.common.ids import derive_id
from heliograph.common.shards import shard_of
from heliograph.common.subjects import bars

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample" / "sp500_daily.parquet"
MINUTES_A_SESSION = 390
MINUTE_NS = 60 * NANOSECONDS
START_NS = 1_600_000_000 * NANOSECONDS
TICK_DECIMALS = 2
SHIFT = 11
"""Bars by which each further copy of a real path begins later, so that copies do not move together."""


class Market:
    """`symbols` instruments in `shards` shards; each minute has one bar of each."""

    def __init__(self, symbols: int, shards: int, bars_a_day: int = MINUTES_A_SESSION) -> None:
        paths = real_paths(bars_a_day)
        names = [f"S{n:05d}" for n in range(symbols)]
        self.paths = paths
        self.which = np.arange(symbols) % len(paths)
        self.begin = (np.arange(symbols) // len(paths)) * SHIFT % (paths.shape[1] // 2)
        owner = np.array([shard_of(name, shards) for name in names])
        self.rows = {shard: np.flatnonzero(owner == shard) for shard in range(shards)}
        self.names = {shard: [names[row] for row in rows] for shard, rows in self.rows.items()}
        self.symbols = symbols

    def minute(self, number: int) -> Iterator[tuple[int, Message]]:
        """The bars of one minute: (shard, message)."""
        at = (self.begin + number) % self.paths.shape[1]
        day = self.paths[self.which, at]
        ts = START_NS + number * MINUTE_NS
        for shard, rows in self.rows.items():
            if len(rows):
                open_, high, low, close, volume = day[rows].T.tolist()
                event = BarBatch(
                    id=derive_id("bars", "bench", ts, shard),
                    ts=ts,
                    interval="1m",
                    symbols=self.names[shard],
                    open=open_,
                    high=high,
                    low=low,
                    close=close,
                    volume=volume,
                    source="bench",
                )
                yield shard, Message(subject=bars(shard), data=encode(event), msg_id=event.id)


def real_paths(bars_a_day: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.float64]]:
    """Open, high, low, close, volume of every symbol with a full history: shape (symbols, days, 5)."""
    table = pq.read_table(SAMPLE).sort_by([("symbol", "ascending"), ("ts", "ascending")])
    symbol = table["symbol"].to_numpy()
    columns = np.stack([table[c].to_numpy() for c in ("open", "high", "low", "close", "volume")], axis=1)
    names, first, count = np.unique(symbol, return_index=True, return_counts=True)
    full = count == count.max()
    found = np.stack([columns[f : f + count.max()] for f in first[full]])
    open_, high, low, close = (found[..., i] for i in range(4))
    fine = ((high >= np.maximum(open_, close)) & (low <= np.minimum(open_, close)) & (low > 0)).all(axis=1)
    if not fine.any():
        raise ValueError(f"{SAMPLE}: none of {len(names)} symbols is without fault")
    kept: np.ndarray[tuple[int, int, int], np.dtype[np.float64]] = found[fine]
    first_close = kept[:, :1, 3:4]
    kept[..., :4] = first_close * np.exp(np.log(kept[..., :4] / first_close) / np.sqrt(bars_a_day))
    kept[..., :4] = kept[..., :4].round(TICK_DECIMALS)
    return kept
