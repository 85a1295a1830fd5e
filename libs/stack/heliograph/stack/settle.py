"""Waiting until a replay is over and every stage is durable."""

import asyncio
from collections.abc import Callable

from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import UnavailableError
from heliograph.stack.errors import StackError
from heliograph.stack.figures import Figures, look

LOOK_EVERY_S = 0.5
LOOK_AGAIN_S = 0.1
PATIENCE_S = 180.0


async def wait_until_idle(
    bus: Bus,
    shards: int,
    report: Callable[[Figures], None],
    *,
    processes: int | None = None,
    patience_s: float = PATIENCE_S,
) -> Figures:
    """The figures of a stack that has nothing left to do, seen twice in a row without a change between.

    Raises:
        StackError: nothing has moved for `patience_s` seconds.
    """
    before: Figures | None = None
    moved_at = SYSTEM_CLOCK.monotonic()
    moved: tuple[object, ...] = ()
    while True:
        try:
            now = await look(bus, shards, processes)
        except UnavailableError:  # an engine starts again
            before = None
            await asyncio.sleep(LOOK_EVERY_S)
            continue
        report(now)
        if before and before.idle and now.idle and before.last == now.last:
            return now
        state = (now.bars_published, now.last, now.lag, now.owned)
        if state != moved:
            moved, moved_at = state, SYSTEM_CLOCK.monotonic()
        elif SYSTEM_CLOCK.monotonic() - moved_at > patience_s:
            raise StackError(f"nothing has moved for {patience_s:.0f} s: {waits_for(now)}")
        before = now
        await asyncio.sleep(LOOK_AGAIN_S if now.idle else LOOK_EVERY_S)


def waits_for(figures: Figures) -> str:
    """What a stack that does not move waits for."""
    problems = [
        f"{replica.service} ({replica.member}): {store}: {problem}"
        for replica in figures.replicas
        for store, problem in replica.problems.items()
    ]
    waiting = [f"{stage}: {count} messages not yet durable" for stage, count in figures.lag.items() if count]
    if not figures.fetched:
        waiting.append(f"{figures.bars_published} of {figures.bars_total} bars published")
    if not figures.owned:
        waiting.append("shards without an owner")
    return "; ".join(waiting + problems)
