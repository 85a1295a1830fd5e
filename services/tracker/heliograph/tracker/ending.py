"""The end of a task that works in the background."""

import asyncio

CANCEL_EVERY_S = 0.2


async def end(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait until it has ended, however often a client library in it swallows that."""
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_EVERY_S)
