"""From a provider's rows to a replay: judged, planned, and what was refused."""

import asyncio

import msgspec
import numpy as np
import structlog

from heliograph.common.errors import UnavailableError
from heliograph.fetcher.cadence import check_one_interval, count_gaps, infer_intervals
from heliograph.fetcher.health import HealthBook
from heliograph.fetcher.plan import Plan, make_plan
from heliograph.fetcher.provider import Provider, Rows
from heliograph.fetcher.quality import Refusal, judge
from heliograph.fetcher.quarantine import Refused, refused_by_shard
from heliograph.fetcher.table import merge

PAUSE_S = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider's stored bars come to.

    Attributes:
        plan: the good bars, in order.
        refused: the others, one entry a shard.
        gaps: pauses that no closed market explains, see `cadence.count_gaps`.
    """

    plan: Plan
    refused: list[Refused]
    gaps: int


async def load(provider: Provider, shards: int, health: HealthBook, pause_s: float = PAUSE_S) -> Replay:
    """Read everything that a provider has, and plan its replay; tried again for as long as it is away.

    Raises:
        InputError: there is nothing to read, or it is not bars.
    """
    while True:
        try:
            parts = [rows async for rows in provider.rows()]
            break
        except UnavailableError as error:
            health.failed(provider.name)
            await log.awarning("provider away", provider=provider.name, error=str(error))
            await asyncio.sleep(pause_s)
    health.succeeded(provider.name)
    return await asyncio.to_thread(prepare, parts, shards)


def prepare(parts: list[Rows], shards: int) -> Replay:
    """Judge and plan rows; `parts` is emptied, so that the memory is not held twice. Pure.

    Raises:
        InputError: the bars of a symbol come in two intervals, or more often than each minute.
    """
    table = merge(parts)
    parts.clear()
    verdicts = judge(table)
    good = np.flatnonzero(verdicts == Refusal.NONE)
    good = good[np.lexsort((table.ts[good], table.code[good]))]
    code, ts = table.code[good], table.ts[good]
    check_one_interval(table.symbols, table.origins, code, ts, table.origin_of(good))
    interval = infer_intervals(table.symbols, code, ts)
    gaps = count_gaps(code, ts, interval)
    return Replay(
        plan=make_plan(table, good, interval, shards),
        refused=refused_by_shard(table, verdicts, shards),
        gaps=gaps,
    )
