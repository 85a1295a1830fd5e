"""Something that is looked at again and again beside the shards, whatever becomes of one look."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from heliograph.common.errors import UnavailableError
from heliograph.tracker.ending import end

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Looking:
    """Calls `look` from `start` to `close`, `every_s` seconds after the last call has ended.

    A store that is away is waited for; any other failure is logged whole, told to `failed`, and tried again,
    since the record goes on being written meanwhile.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], Awaitable[object]],
        every_s: float,
        failed: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self._look = look
        self._every_s = every_s
        self._failed = failed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with a look at once."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Stop; a look under way is given up."""
        await end(self._task)

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except UnavailableError as error:
                await log.awarning(f"{self._name} waits", error=str(error))
            except Exception:
                if self._failed is not None:
                    self._failed()
                await log.aexception(f"{self._name} failed")
            await asyncio.sleep(self._every_s)
