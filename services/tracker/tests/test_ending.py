"""A task in the background ends, also where a library in it swallows a cancellation."""

import asyncio

from heliograph.tracker.ending import end


async def test_a_swallowed_cancellation_is_repeated() -> None:
    swallowed: list[int] = []

    async def stubborn() -> None:
        while len(swallowed) < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed.append(1)
        await asyncio.sleep(60)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(end(task), 10)
    assert task.cancelled()
    assert len(swallowed) == 3


async def test_what_has_ended_or_never_began_needs_nothing() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await end(task)
    await end(None)
