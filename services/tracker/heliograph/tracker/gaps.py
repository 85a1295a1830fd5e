"""Bars of open signals that INPUT no longer holds: taken from the archive instead, and written down as a gap.

The stream drops what is older or more than its limits. A signal whose bars are partly gone must not be
followed as if they had never been: its stop may have been touched in them.
"""

from collections.abc import AsyncIterator, Sequence
from itertools import groupby

import structlog

from heliograph.common.bus import Bus
from heliograph.common.events import BarBatch, Outcome, Signal
from heliograph.common.ids import derive_id
from heliograph.common.intervals import interval_ns
from heliograph.tracker.closing import Costs
from heliograph.tracker.database import Database
from heliograph.tracker.engine import OpenSignals

PAGE_BARS = 10_000
WITHIN_S = 30.0
AFTER_EXPIRY_NS = 10 * 86_400 * 10**9
"""So long after its expiry a signal's last bar is looked for: over any weekend and holiday."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def refill(
    bus: Bus, database: Database, costs: Costs, signals: Sequence[Signal], first: int
) -> tuple[OpenSignals, list[Outcome]]:
    """Show signals their bars from the archive, since INPUT begins only at `first`.

    Returns:
        Those still open, which have seen all archived bars and pass them by if they come again; and the
        outcomes of the others. A bar from the archive has no sequence: it counts as the last one dropped.

    Raises:
        UnavailableError: the archiver or Postgres is away: nothing is known of the missing bars, try again.
    """
    opened, ended = OpenSignals(costs), list[Outcome]()
    order = sorted(signals, key=lambda s: (s.symbol, s.interval))
    for (symbol, interval), group in groupby(order, key=lambda s: (s.symbol, s.interval)):
        own = list(group)
        following = OpenSignals(costs, own)
        bars = 0
        async for batch in _archived(bus, symbol, interval, own):
            ended += following.apply(first - 1, batch)
            following.seen_until(batch.ts + interval_ns(interval))
            bars += 1
            if not following:
                break
        opened.absorb(following)
        await _record(database, own, first, bars)
    return opened, ended


async def _archived(
    bus: Bus, symbol: str, interval: str, signals: Sequence[Signal]
) -> AsyncIterator[BarBatch]:
    """The symbol's bars from the earliest signal on, one a batch, the earliest first."""
    start = min(signal.ts for signal in signals)
    end = max(signal.expires for signal in signals) + AFTER_EXPIRY_NS
    page = PAGE_BARS * interval_ns(interval)
    while start <= end:
        asked = {
            "symbol": symbol,
            "interval": interval,
            "from": start,
            "to": min(start + page - 1, end),
            "limit": PAGE_BARS,
        }
        found = await bus.request("query.archiver.bars", asked, timeout=WITHIN_S)
        columns = (found[name] for name in ("ts", "open", "high", "low", "close", "volume"))
        for ts, open_, high, low, close, volume in zip(*columns, strict=True):
            yield BarBatch(
                id=derive_id("archived", symbol, interval, ts),
                ts=ts,
                interval=interval,
                symbols=[symbol],
                open=[open_],
                high=[high],
                low=[low],
                close=[close],
                volume=[volume],
                source="archive",
            )
        start += page


async def _record(database: Database, signals: Sequence[Signal], first: int, bars: int) -> None:
    await database.fetch(
        """INSERT INTO input_gaps (signal, after, first, bars)
        SELECT signal, after, %s, %s FROM unnest(%s::text[], %s::bigint[]) AS g (signal, after)
        ON CONFLICT (signal, first) DO NOTHING""",
        (first, bars, [s.id for s in signals], [s.input_seq for s in signals]),
    )
    tell = log.awarning if bars else log.aerror
    await tell(
        "INPUT has dropped bars of open signals",
        symbol=signals[0].symbol,
        signals=[s.id for s in signals],
        after=min(s.input_seq for s in signals),
        first=first,
        bars_from_archive=bars,
    )
