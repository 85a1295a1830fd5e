"""Which candles of a stream are complete: each comes again and again while it changes. Pure.

A candle is complete when a later one of its pair comes, or when its minute has ended and a grace has passed,
since a pair that does not trade has no later one. A minute without trades is no bar: the stream does not tell
of it, and history does, with 0 trades.
"""

from collections.abc import Collection, Iterable

from heliograph.common.clock import NANOSECONDS
from heliograph.common.intervals import interval_ns
from heliograph.fetcher.live.kraken_wire import Candle

MINUTE_NS = interval_ns("1m")
AHEAD_NS = 60 * NANOSECONDS
"""A candle that begins so much later than now is none that is forming; the quality gate refuses it."""


class Forming:
    """The newest candle of each pair.

    Args:
        grace_ns: how long after the end of a minute its last trades may still come.
    """

    def __init__(self, grace_ns: int) -> None:
        self._grace = grace_ns
        self._newest: dict[str, Candle] = {}

    def take(self, candles: Iterable[Candle], now_ns: int) -> list[Candle]:
        """The candles that are complete now that these have come.

        One that is older than its pair's newest is given as it is: whether it came already, or too late, is
        for others to tell.
        """
        found = []
        for candle in candles:
            newest = self._newest.get(candle.symbol)
            if not 0 <= candle.start <= now_ns + AHEAD_NS or (newest and candle.start < newest.start):
                found.append(candle)
                continue
            if newest is not None and candle.start > newest.start:
                found.append(newest)
            self._newest[candle.symbol] = candle
        return [candle for candle in found if traded(candle)]

    def ended(self, now_ns: int) -> list[Candle]:
        """The candles whose minute and grace have passed; each is given once."""
        found = [c for c in self._newest.values() if self._end(c) <= now_ns]
        for candle in found:
            del self._newest[candle.symbol]
        return [candle for candle in found if traded(candle)]

    def keep(self, symbols: Collection[str]) -> None:
        """Forget all other pairs."""
        self._newest = {s: candle for s, candle in self._newest.items() if s in symbols}

    def _end(self, candle: Candle) -> int:
        return candle.start + MINUTE_NS + self._grace


def newest_of_each(candles: Iterable[Candle]) -> list[Candle]:
    """Of a snapshot only the newest of each pair: all before it history tells."""
    found: dict[str, Candle] = {}
    for candle in candles:
        known = found.get(candle.symbol)
        if known is None or candle.start > known.start:
            found[candle.symbol] = candle
    return list(found.values())


def traded(candle: Candle) -> bool:
    """Whether there were trades in the minute; a number that cannot be read does not say no."""
    return candle.trades != 0
