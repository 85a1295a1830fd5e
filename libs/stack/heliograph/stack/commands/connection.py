"""A connection to the stack that runs on a state folder, for a command that asks its services."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from heliograph.common.bus import Bus
from heliograph.stack.errors import StackError
from heliograph.stack.leftovers import alive
from heliograph.stack.stack import connect
from heliograph.stack.state import Run, State

CONNECT_WITHIN_S = 5.0


def running(state: State) -> Run:
    """The stack that runs on a state folder.

    Raises:
        StackError: none does.
    """
    run = state.run()
    if run is None or alive(run.supervisor) is None:
        raise StackError(f"no stack runs on {state.folder}; start one with `heliograph up`")
    return run


@asynccontextmanager
async def connected(state: State) -> AsyncIterator[Bus]:
    """The bus of the running stack.

    Raises:
        StackError: no stack runs there, or its NATS does not answer.
    """
    run = running(state)
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            bus = await connect(state, run.urls["nats"], int(run.settings["shards"]))
    except TimeoutError:
        raise StackError(f"{run.urls['nats']} does not answer within {CONNECT_WITHIN_S:.0f} s") from None
    try:
        yield bus
    finally:
        await bus.close()
