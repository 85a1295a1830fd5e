"""The watch for alerts: one replica of the gateway at a time looks at all of them, again and again."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from heliograph.common import metrics
from heliograph.common.alerts import Table
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import Clock
from heliograph.common.errors import FencedError, HeliographError, UnavailableError
from heliograph.common.events import Alert, encode
from heliograph.common.members import Membership
from heliograph.common.samples import Measured
from heliograph.gateway.alerts import measuring
from heliograph.gateway.alerts.book import Book, Page
from heliograph.gateway.alerts.evaluator import Evaluator
from heliograph.gateway.alerts.states import Instances, carried

LEASE = 0
OUTCOMES_S = 600.0

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
Gather = Callable[[Bus, list[str]], Awaitable[list[Measured]]]


class Watch:
    """Looks while it holds the lease; a replica that takes it over goes on with the alerts under way."""

    def __init__(
        self,
        bus: Bus,
        membership: Membership,
        member: str,
        table: Table,
        clock: Clock,
        gather: Gather = measuring.members,
    ) -> None:
        self._bus = bus
        self._membership = membership
        self._member = member
        self._table = table
        self._clock = clock
        self._gather = gather
        self._book = Book(bus)
        self._evaluator: Evaluator | None = None
        self._page = Page()
        self._read = False
        self._outcomes_at = float("-inf")

    @property
    def leading(self) -> bool:
        """Whether this replica watches."""
        return self._evaluator is not None

    async def run(self, heartbeat_s: float, every_s: float) -> None:
        """Watch for ever, whenever no other does."""
        due = self._clock.monotonic()
        while True:
            try:
                if await self.lead() and self._clock.monotonic() >= due:
                    due = self._clock.monotonic() + every_s
                    await self.look()
            except UnavailableError as error:
                await log.awarning("alerts not looked at", error=str(error))
            except HeliographError:
                await log.aexception("alerts not looked at")
            await asyncio.sleep(heartbeat_s)

    async def lead(self) -> bool:
        """Say that this member lives, and whether it holds the lease.

        Raises:
            UnavailableError: the server does not answer.
        """
        view = await self._membership.beat()
        mine = view.leases.get(LEASE, ("", 0))[0] == self._member
        if not mine and not await self._membership.take(LEASE, view):
            self._step_back()
            return False
        return True

    async def look(self) -> list[Alert]:
        """One look at all alerts; what has changed, which is then written and published.

        Raises:
            UnavailableError: a change is not written or not published; the next look does it.
        """
        await self._refresh()
        evaluator = self._evaluator or Evaluator(self._table, self._page.instances, self._clock.now_ns())
        self._evaluator = evaluator
        if self._clock.monotonic() - self._outcomes_at >= OUTCOMES_S:
            self._outcomes_at = self._clock.monotonic()
            await measuring.outcomes(self._bus)
        answers = await self._gather(self._bus, evaluator.names)
        others = await measuring.waiting(self._bus)
        started = time.perf_counter()
        told = evaluator.look(self._clock.now_ns(), answers, others)
        metrics.ALERTS_SECONDS.observe(time.perf_counter() - started)
        await self._tell(evaluator.instances, told)
        return told

    async def _refresh(self) -> None:
        """Read the page where it may have changed since."""
        if self._read:
            return
        self._page = await self._book.read()
        self._read = True
        if self._evaluator:
            self._evaluator.instances = carried(self._page.instances, self._table.rules, self._clock.now_ns())

    async def _tell(self, instances: Instances, told: list[Alert]) -> None:
        """Write what has changed, then publish it."""
        outbox = [*self._page.outbox, *told]
        if outbox or phases(instances) != phases(self._page.instances):
            # Whatever goes wrong from here on, the next look begins with what is written.
            self._read = False
            try:
                page = Page(instances=instances, outbox=outbox)
                await self._book.write(page)
                await self._publish(outbox)
                self._page = msgspec.structs.replace(page, outbox=[])
                self._read = True
            except FencedError:
                self._step_back()
                return
        firing = Counter(self._severity(i.name) for i in instances.values() if i.phase == "firing")
        for severity in ("warning", "critical"):
            metrics.ALERTS_FIRING.labels(severity).set(firing[severity])

    async def _publish(self, alerts: list[Alert]) -> None:
        await self._bus.publish(
            [Message(subject=f"alert.{a.name}", data=encode(a), msg_id=a.id) for a in alerts]
        )
        for alert in alerts:
            await log.ainfo("alert", alert=alert.name, status=alert.status, summary=alert.summary)

    def _severity(self, name: str) -> str:
        return next(rule.severity for rule in self._table.rules if rule.name == name)

    def _step_back(self) -> None:
        """Another replica watches."""
        if self._evaluator is not None:
            measuring.forget_outcomes()
            metrics.ALERTS_FIRING.clear()
        self._evaluator = None
        self._read = False

    async def stop(self) -> None:
        """Give the lease back, so that another replica need not wait."""
        try:
            if self.leading:
                await self._membership.release(LEASE)
            await self._membership.leave()
        except UnavailableError as error:
            await log.awarning("lease not given back", error=str(error))
        self._step_back()


def phases(instances: Instances) -> dict[str, str]:
    """What must be written when it changes."""
    return {key: instance.phase for key, instance in instances.items()}
