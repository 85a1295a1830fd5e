"""The panel behind the bus: takes requests to `analyze`, many at once, and answers them."""

import asyncio
import contextlib
import importlib
from typing import TYPE_CHECKING

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from heliograph.common.bus import Bus
from heliograph.common.clock import Clock
from heliograph.reasoning.models.port import Models
from heliograph.reasoning.panel.settings import PanelSettings

if TYPE_CHECKING:
    from heliograph.reasoning.panel.work import PanelWork

SUBJECT = "analyze"
GROUP = "reasoning"

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class PanelService:
    """Runs of the panel for whoever asks on the bus; one replica takes each request.

    Args:
        models: language models, or None for rules alone.
        redis: where answers are kept for all replicas, or None for this process's memory; closed at the stop.
    """

    def __init__(
        self,
        settings: PanelSettings,
        bus: Bus,
        clock: Clock,
        models: Models | None = None,
        redis: Redis | None = None,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._clock = clock
        self._models = models
        self._redis = redis
        self._turn = asyncio.Semaphore(settings.panel_runs)
        self._runs: set[asyncio.Task[None]] = set()
        self._making = asyncio.Lock()
        self._work: PanelWork | None = None
        self.answered = 0
        """Requests that were answered since the start, those included that were refused."""

    async def start(self) -> None:
        """Answer from now on."""
        await self._bus.client.subscribe(SUBJECT, queue=GROUP, cb=self._take)

    async def stop(self) -> None:
        """End the runs that are under way, unanswered, and close connections."""
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)
        if self._work is not None:
            await self._work.close()
        if self._redis is not None:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._redis.aclose()

    async def _take(self, message: Msg) -> None:
        # A handler that waits would hold up the next request.
        run = asyncio.create_task(self._answer(message))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)

    async def _answer(self, message: Msg) -> None:
        try:
            async with self._turn:
                work = await self._started()
                parent = (message.headers or {}).get("traceparent")
                data = msgspec.json.encode(await work.analyze(message.data, parent))
        except Exception as error:
            # Whoever asks is told; the next request must be taken all the same.
            await log.awarning("analyze failed", error=repr(error))
            data = msgspec.json.encode({"error": f"{error}", "type": type(error).__name__})
        self.answered += 1
        try:
            await message.respond(data)
        except NatsError as error:
            await log.awarning("answer not sent", subject=SUBJECT, error=repr(error))

    async def _started(self) -> "PanelWork":
        """The work, made at the first request: its imports would hold up the start of every process."""
        async with self._making:
            if self._work is None:
                work = await asyncio.to_thread(importlib.import_module, "heliograph.reasoning.panel.work")
                self._work = work.PanelWork(self._settings, self._bus, self._clock, self._models, self._redis)
            return self._work
