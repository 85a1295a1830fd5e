"""A connection to the stack that runs on a state folder, for a command that asks its services."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from heliograph.common.bus import Bus
from heliograph.stack.commands.status import CONNECT_WITHIN_S, running
from heliograph.stack.errors import StackError
from heliograph.stack.stack import connect
from heliograph.stack.state import State


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
