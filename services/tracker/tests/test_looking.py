"""A look in the background goes on after whatever became of the one before."""

import asyncio

from heliograph.common.errors import UnavailableError
from heliograph.tracker.looking import Looking


async def test_a_look_that_fails_is_tried_again_until_it_is_stopped() -> None:
    ends: list[Exception | None] = [UnavailableError("away"), ValueError("broken"), None, None]
    looked = asyncio.Event()
    failures: list[int] = []
    left = list(ends)

    async def look() -> None:
        found = left.pop(0)
        if not left:
            looked.set()
            await asyncio.Event().wait()
        if found is not None:
            raise found

    looking = Looking("test", look, 0.0, lambda: failures.append(1))
    looking.start()
    async with asyncio.timeout(60):
        await looked.wait()
    assert failures == [1], "a store that is away is no failure"
    async with asyncio.timeout(60):
        await looking.close()


async def test_one_that_never_began_needs_no_end() -> None:
    async def look() -> None:
        raise AssertionError("never")

    await Looking("test", look, 0.0).close()
