"""The bars of one live shard between their arrival and their publication. Pure: the time is told to it."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from heliograph.common.clock import NANOSECONDS
from heliograph.common.events import BarBatch
from heliograph.common.ids import derive_id
from heliograph.common.intervals import interval_ns
from heliograph.fetcher.plan import MAX_ROWS
from heliograph.fetcher.provider import Rows
from heliograph.fetcher.quality import Refusal, judge_values
from heliograph.fetcher.quarantine import Refused, refused_by_shard
from heliograph.fetcher.table import Table, merge

AHEAD_NS = 2 * NANOSECONDS
"""The provider's clock may be so far ahead: a bar that closes later than that has not closed."""
NEVER = -1
REMEMBERED = 64
"""Newest bars of a symbol whose second coming is known to be one."""

Prices = tuple[float, float, float, float, float]


class Counts(msgspec.Struct):
    """What became of bars beside being published.

    Attributes:
        duplicates: bars that came again.
        gaps: bars that do not follow right after the one before; a minute without trades is one, too.
        refused: by reason, those that came too late (`out_of_order`) among them.
    """

    duplicates: int = 0
    gaps: int = 0
    refused: dict[str, int] = {}


class Intake:
    """Takes rows, tells good from bad, collects the good ones by minute, and makes batches of them.

    A symbol whose past is being filled in is *held*: what comes of it by the stream is kept until `release`,
    since a bar that is older than a published one could no more be published.

    Args:
        symbols: of the shard.
        newest: start of each one's newest published bar; symbols that are asked for no more among them.
    """

    def __init__(
        self, shard: int, shards: int, symbols: Collection[str], interval: str, newest: dict[str, int]
    ) -> None:
        self.shard = shard
        self.symbols = frozenset(symbols)
        self.newest = dict(newest)
        self.counts = Counts()
        self.refused: list[Refused] = []
        """What is to be buried; whoever has done so empties it."""
        self._shards = shards
        self._interval = interval
        self._length = interval_ns(interval)
        self._recent: dict[str, deque[int]] = {}
        self._pending: dict[int, dict[str, Prices]] = {}
        self._since: dict[int, float] = {}
        self._kept: dict[str, dict[int, Prices]] = {}

    @property
    def held(self) -> frozenset[str]:
        """The symbols whose past is not yet filled in."""
        return frozenset(self._kept)

    @property
    def waiting(self) -> int:
        """Bars that are not yet published, those of held symbols among them."""
        return self.ready + sum(len(bars) for bars in self._kept.values())

    @property
    def ready(self) -> int:
        """Bars that wait for nothing but their publication."""
        return sum(len(bars) for bars in self._pending.values())

    def hold(self, symbols: Iterable[str]) -> None:
        """Keep what comes of some symbols until `release`."""
        for symbol in symbols:
            self._kept.setdefault(symbol, {})

    def release(self, symbols: Iterable[str], now: float) -> None:
        """Let go what came of some symbols meanwhile; `now` in monotonic seconds."""
        for symbol in symbols:
            for start, prices in sorted(self._kept.pop(symbol, {}).items()):
                self._add(symbol, start, prices, now)

    def take(self, rows: Rows, now_ns: int, now: float) -> None:
        """Take what came by the stream.

        Args:
            rows: bars of whatever symbols; those of other shards are passed over.
            now_ns: wall time; `now` monotonic seconds.
        """
        table, verdicts = self._judged(rows, now_ns)
        for row in np.flatnonzero(verdicts == Refusal.NONE).tolist():
            symbol, start = table.symbols[table.code[row]], int(table.ts[row])
            if symbol in self._kept:
                self._keep(symbol, start, _prices(table, row))
            elif not self._add(symbol, start, _prices(table, row), now):
                verdicts[row] = Refusal.OUT_OF_ORDER
        self._refuse(table, verdicts)

    def fill(self, rows: Rows, now_ns: int) -> None:
        """Take bars of the past of held symbols; what is published or came by the stream is passed over."""
        table, verdicts = self._judged(rows, now_ns)
        for row in np.flatnonzero(verdicts == Refusal.NONE).tolist():
            symbol, start = table.symbols[table.code[row]], int(table.ts[row])
            if start > self.newest.get(symbol, NEVER) and symbol in self._kept:
                self._kept[symbol].setdefault(start, _prices(table, row))
        self._refuse(table, verdicts)

    def window(self, now: float, settle_s: float, most: int, source: str, received: int) -> list[BarBatch]:
        """Take out the batches of the minutes up to the newest that has settled, at most so many.

        The oldest come first. They count as published from now on: an intake whose batches could not be
        stored is of no more use.
        """
        settled = [start for start, since in self._since.items() if now - since >= settle_s]
        upto = max(settled, default=NEVER)
        starts = sorted(start for start in self._pending if start <= upto)
        found = list(islice((b for s in starts for b in self._batches(source, s, received)), most))
        for batch in found:
            self._taken_out(batch)
        return found

    def following(self, settle_s: float) -> float | None:
        """When the next minute has settled, monotonic seconds; None while none waits."""
        return min(self._since.values()) + settle_s if self._since else None

    def _taken_out(self, batch: BarBatch) -> None:
        minute = self._pending[batch.ts]
        for symbol in batch.symbols:
            del minute[symbol]
            before = self.newest.get(symbol)
            self.counts.gaps += before is not None and batch.ts - before != self._length
            self.newest[symbol] = batch.ts
            self._recent.setdefault(symbol, deque(maxlen=REMEMBERED)).append(batch.ts)
        if not minute:
            del self._pending[batch.ts], self._since[batch.ts]

    def _judged(self, rows: Rows, now_ns: int) -> tuple[Table, NDArray[np.uint8]]:
        """The rows of this shard's symbols, and the verdict on each by itself."""
        mine = np.array([symbol in self.symbols for symbol in rows.symbols], dtype=bool)[rows.code]
        table = merge([_only(rows, mine)])
        verdicts = judge_values(table)
        good = verdicts == Refusal.NONE
        early = table.ts > now_ns + AHEAD_NS - self._length
        verdicts[good & (early | (table.ts % self._length != 0))] = Refusal.NOT_CLOSED
        return table, verdicts

    def _keep(self, symbol: str, start: int, prices: Prices) -> None:
        """Keep a bar of a held symbol; one that is published or kept already came again."""
        if start <= self.newest.get(symbol, NEVER) or start in self._kept[symbol]:
            self.counts.duplicates += 1
        else:
            self._kept[symbol][start] = prices

    def _add(self, symbol: str, start: int, prices: Prices, now: float) -> bool:
        """Put a bar to its minute; False where a later one of its symbol is published and it is not."""
        if start in self._recent.get(symbol, ()) or symbol in self._pending.get(start, {}):
            self.counts.duplicates += 1
            return True
        newest = self.newest.get(symbol, NEVER)
        if start <= newest:
            self.counts.duplicates += start == newest
            return start == newest
        self._pending.setdefault(start, {})[symbol] = prices
        self._since.setdefault(start, now)
        return True

    def _refuse(self, table: Table, verdicts: NDArray[np.uint8]) -> None:
        if not verdicts.any():
            return
        refused = refused_by_shard(table, verdicts, self._shards)[self.shard]
        self.refused.append(refused)
        for label, count in refused.counts().items():
            self.counts.refused[label] = self.counts.refused.get(label, 0) + count

    def _batches(self, source: str, start: int, received: int) -> Iterator[BarBatch]:
        bars = sorted(self._pending[start].items())
        for first in range(0, len(bars), MAX_ROWS):
            yield self._batch(source, start, bars[first : first + MAX_ROWS], received)

    def _batch(self, source: str, start: int, bars: Sequence[tuple[str, Prices]], received: int) -> BarBatch:
        symbols = [symbol for symbol, _ in bars]
        opened, high, low, close, volume = (
            list(column) for column in zip(*(p for _, p in bars), strict=True)
        )
        return BarBatch(
            id=derive_id("bars", source, self._interval, start, *symbols),
            ts=start,
            received=received,
            interval=self._interval,
            symbols=symbols,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=volume,
            source=source,
        )


def _prices(table: Table, row: int) -> Prices:
    return (
        float(table.open[row]),
        float(table.high[row]),
        float(table.low[row]),
        float(table.close[row]),
        float(table.volume[row]),
    )


def _only(rows: Rows, mask: NDArray[np.bool_]) -> Rows:
    """Some of the rows."""
    columns = ("code", "ts", "open", "high", "low", "close", "volume")
    return msgspec.structs.replace(rows, splits={}, **{name: getattr(rows, name)[mask] for name in columns})
