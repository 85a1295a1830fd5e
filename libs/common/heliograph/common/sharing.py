"""The sharing of shards: each member works on the shards that rendezvous hashing gives it, under a lease."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from heliograph.common import metrics
from heliograph.common.bus import Bus
from heliograph.common.config import Settings
from heliograph.common.errors import UnavailableError
from heliograph.common.members import Membership, View
from heliograph.common.pace import Pace
from heliograph.common.positions import Positions
from heliograph.common.precedence import Precedence
from heliograph.common.service import Service
from heliograph.common.shards import owner_of
from heliograph.common.worker import DeadLetters, ShardWorker

STOP_S = 15.0

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Sharing:
    """The workers of one process, kept in step with the membership."""

    def __init__(
        self, bus: Bus, service: Service, member: str, settings: Settings, moved: Callable[[], None]
    ) -> None:
        self._bus = bus
        self._service = service
        self._member = member
        self._settings = settings
        self._moved = moved
        self._membership = Membership(bus, service.name, member, settings.member_ttl_s)
        self._positions = Positions(bus)
        self._precedence = Precedence()
        self._paces = {s.after: Pace(bus, s.after) for s in service.sources if s.after}
        self._dead = DeadLetters(bus, service.name, settings.dead_letter_limit)
        self._workers: dict[int, tuple[ShardWorker, asyncio.Task[None]]] = {}
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def shards(self) -> list[int]:
        """The shards that this process reads now."""
        return sorted(shard for shard, (worker, _) in self._workers.items() if worker.reading)

    async def run(self) -> None:
        """Follow the membership until cancelled."""
        for pace in self._paces.values():
            await pace.listen()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._positions.run())
            group.create_task(self._follow_membership())

    async def _follow_membership(self) -> None:
        while True:
            try:
                await self._follow(await self._membership.beat())
                self._moved()
            except UnavailableError as error:
                await log.awarning("membership", error=str(error))
            await asyncio.sleep(self._settings.heartbeat_s)

    async def _follow(self, view: View) -> None:
        wanted = {s for s in range(self._settings.shards) if owner_of(s, view.live) == self._member}
        lost = {s for s in self._workers if view.leases.get(s, ("", 0))[0] != self._member}
        leaving = [s for s in self._workers if s not in wanted or s in lost]
        await asyncio.gather(*(self._release(s, keep_lease=s in lost) for s in leaving))
        missing = [s for s in sorted(wanted) if s not in self._workers]
        taken = await asyncio.gather(*(self._membership.take(s, view) for s in missing))
        for shard in (s for s, had in zip(missing, taken, strict=True) if had):
            self._start(shard)
        metrics.SHARDS_OWNED.labels(self._service.name).set(len(self._workers))

    def _start(self, shard: int) -> None:
        worker = ShardWorker(
            self._bus,
            self._positions,
            self._service,
            shard,
            self._dead,
            self._settings.batch_messages,
            self._moved,
            self._precedence,
            self._paces,
        )
        task = asyncio.create_task(worker.run(), name=f"{self._service.name}-{shard}")
        task.add_done_callback(self._ended)
        self._workers[shard] = (worker, task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self.failure.done():
            self.failure.set_exception(error)

    async def _release(self, shard: int, *, keep_lease: bool = False) -> None:
        worker, task = self._workers.pop(shard)
        worker.stop()
        done, _ = await asyncio.wait([task], timeout=STOP_S)
        if not done:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if not keep_lease:
            with contextlib.suppress(UnavailableError):
                await self._membership.release(shard)

    async def stop(self) -> None:
        """Hand every shard over and leave."""
        await asyncio.gather(*(self._release(s) for s in list(self._workers)))
        await self._positions.keep()
        with contextlib.suppress(UnavailableError):
            await self._membership.leave()
