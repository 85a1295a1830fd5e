"""The replay plan: every good bar in its batch, in the order in which each shard publishes. Pure.

Columns and offsets only: a bar becomes an object when its batch is published, not before.
"""

import hashlib

import msgspec
import numpy as np
from numpy.typing import NDArray

from heliograph.common.events import BarBatch
from heliograph.common.ids import derive_id
from heliograph.common.shards import shard_of
from heliograph.fetcher.cadence import LENGTHS_NS, NAMES
from heliograph.fetcher.provider import Times
from heliograph.fetcher.splits import place_splits
from heliograph.fetcher.table import COLUMNS, Table

VERSION = 2
"""Part of the fingerprint: raise it when the same data would be planned or judged in another way."""
MAX_ROWS = 4096
"""Bars of one batch at most: 184 bytes each at the longest stay under the server's 1 MiB a message."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Batches of bars by shard, ordered by close time, then interval, then symbol.

    Attributes:
        fingerprint: of the data and the number of shards: what a position in the plan is worth.
        table: all rows.
        order: numbers of the rows that are replayed, in the order of replay.
        row: where each batch begins in `order`, and the length of `order` at the end.
        splits: new shares for each old one, by the number of the first row in new shares.
        close_ts: when the bars of each batch closed, UTC nanoseconds, ascending within a shard.
        interval: index into `cadence.NAMES`, one a batch.
        batch: first batch of each shard, and the number of batches at the end.
    """

    fingerprint: str
    table: Table
    order: NDArray[np.int32]
    row: NDArray[np.int64]
    splits: dict[int, float]
    close_ts: Times
    interval: NDArray[np.uint8]
    batch: NDArray[np.int64]

    def batches(self, shard: int) -> int:
        """How many batches a shard has; they are numbered from 0."""
        return int(self.batch[shard + 1] - self.batch[shard])

    def bars_before(self, shard: int, position: int) -> int:
        """How many bars the shard's batches before `position` hold."""
        first = int(self.batch[shard])
        return int(self.row[first + position] - self.row[first])

    def closes(self, shard: int) -> Times:
        """The close time of each batch of a shard."""
        return self.close_ts[self.batch[shard] : self.batch[shard + 1]]

    def bars(self, shard: int, position: int, source: str, received: int) -> BarBatch:
        """One batch of a shard as an event.

        Args:
            position: its number within the shard.
            source: the provider.
            received: wall time; the one field that differs between two runs.
        """
        number = int(self.batch[shard]) + position
        rows = self.order[self.row[number] : self.row[number + 1]]
        interval = int(self.interval[number])
        ts = int(self.close_ts[number] - LENGTHS_NS[interval])
        table = self.table
        symbols = [table.symbols[c] for c in table.code[rows].tolist()]
        return BarBatch(
            id=derive_id("bars", source, NAMES[interval], ts, *symbols),
            ts=ts,
            received=received,
            interval=NAMES[interval],
            symbols=symbols,
            open=table.open[rows].tolist(),
            high=table.high[rows].tolist(),
            low=table.low[rows].tolist(),
            close=table.close[rows].tolist(),
            volume=table.volume[rows].tolist(),
            source=source,
            splits=self._splits(rows),
        )

    def _splits(self, rows: NDArray[np.int32]) -> dict[str, float] | msgspec.UnsetType:
        """The splits of a batch by symbol; hardly any batch has one."""
        if not self.splits:
            return msgspec.UNSET
        table = self.table
        found = {
            table.symbols[table.code[row]]: self.splits[row] for row in rows.tolist() if row in self.splits
        }
        return found or msgspec.UNSET


def make_plan(table: Table, good: NDArray[np.int64], interval: NDArray[np.uint8], shards: int) -> Plan:
    """Plan the replay of the good rows of a table.

    Args:
        table: all rows.
        good: the numbers of the rows that passed the quality gate, by symbol and time.
        interval: index into `cadence.NAMES`, one a symbol.
        shards: how many there are.
    """
    shard = np.array([shard_of(s, shards) for s in table.symbols], dtype=np.int32)
    code = table.code[good]
    close_ts = table.ts[good] + LENGTHS_NS[interval[code]]
    order = np.lexsort((code, interval[code], close_ts, shard[code]))
    code, close_ts = code[order], close_ts[order]
    head = heads(shard[code], close_ts, interval[code])
    return Plan(
        fingerprint=fingerprint(table, shards),
        table=table,
        order=good[order].astype(np.int32),
        row=np.append(head, len(code)),
        splits=place_splits(table, good),
        close_ts=close_ts[head],
        interval=interval[code[head]],
        batch=np.searchsorted(shard[code[head]], np.arange(shards + 1)),
    )


def heads(shard: NDArray[np.int32], close_ts: Times, interval: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The first row of each batch: where a key changes, and where a batch would grow over `MAX_ROWS`."""
    count = len(close_ts)
    first = np.ones(count, dtype=bool)
    first[1:] = (np.diff(shard) != 0) | (np.diff(close_ts) != 0) | (np.diff(interval.astype(np.int16)) != 0)
    groups = np.flatnonzero(first)
    within = np.arange(count) - np.repeat(groups, np.diff(np.append(groups, count)))
    return np.flatnonzero(first | (within % MAX_ROWS == 0))


def fingerprint(table: Table, shards: int) -> str:
    """16 hex digits that change with any value of any row, their order, and the number of shards."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(msgspec.json.encode([VERSION, shards, MAX_ROWS, table.starts.tolist(), table.symbols]))
    for name in COLUMNS:
        digest.update(np.ascontiguousarray(getattr(table, name)).data)
    if table.splits:
        digest.update(msgspec.json.encode(sorted(table.splits.items())))
    return digest.hexdigest()
