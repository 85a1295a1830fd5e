"""The alerts of a gateway: the watch, the deliveries, and the answers to `query.gateway.alerts*`."""

import asyncio
import os
from pathlib import Path

import msgspec

from heliograph.common.alerts import Severity, table
from heliograph.common.errors import InputError, UnavailableError
from heliograph.common.events import Alert
from heliograph.common.ids import derive_id
from heliograph.common.members import Membership
from heliograph.common.service import Context
from heliograph.common.spend.keys import Keys
from heliograph.gateway.alerts.book import Book
from heliograph.gateway.alerts.delivery import Delivery
from heliograph.gateway.alerts.notify import Notifier
from heliograph.gateway.alerts.settings import AlertSettings
from heliograph.gateway.alerts.states import ALERT_VERSION, Instance
from heliograph.gateway.alerts.watch import Watch

QUEUE = "gateway"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A target's name and the least severity that it is told."""

    name: str
    severity: Severity


class Listed(Instance, frozen=True, kw_only=True):
    """An alert under way with its rule's severity and meaning."""

    severity: Severity
    means: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts under way, those that fire first, and where they are delivered."""

    alerts: list[Listed]
    targets: list[Target]


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which target to try; all of them without one."""

    target: str | None = None


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a test at one target."""

    target: str
    delivered: bool
    reason: str = ""


class Alerts:
    """From `start` to `stop`."""

    def __init__(self, context: Context, settings: AlertSettings) -> None:
        folder = Path(settings.keys_folder) if settings.keys_folder else None
        keys = Keys(context.clock, os.environ, folder, settings.keys_secret)
        names = [rule.name for rule in table().rules]
        self._context = context
        self._settings = settings
        self._notifier = Notifier(settings.alert_targets, keys)
        self._delivery = Delivery(context.bus, self._notifier, settings, names, context.clock)
        self._book = Book(context.bus)
        membership = Membership(context.bus, context.name, context.member, settings.member_ttl_s)
        self.watch = Watch(context.bus, membership, context.member, table(), context.clock)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Answer, deliver, and watch unless the settings say that another does.

        Raises:
            ConfigError: a target is none.
        """
        await self._delivery.start()
        for name, answer in (("alerts", self._listing), ("alerts_test", self._try)):
            await self._context.bus.respond(f"query.gateway.{name}", answer, queue=QUEUE)
        if self._settings.alerts:
            run = self.watch.run(self._settings.heartbeat_s, self._settings.alerts_every_s)
            self._task = asyncio.create_task(run, name="alerts")

    def problems(self) -> dict[str, str]:
        """Why alerts are not watched."""
        return {"alerts": "the watch has stopped"} if self._task and self._task.done() else {}

    async def stop(self) -> None:
        """End the watch and the deliveries."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self.watch.stop()
        await self._delivery.stop()

    async def _listing(self, _: bytes) -> bytes:
        rules = {rule.name: rule for rule in table().rules}
        page = await self._book.read()
        listed = [
            Listed(
                **msgspec.structs.asdict(instance),
                severity=rules[instance.name].severity,
                means=rules[instance.name].means,
            )
            for instance in page.instances.values()
            if instance.name in rules
        ]
        listed.sort(key=lambda alert: (alert.phase, alert.severity, alert.since, alert.name))
        targets = [Target(name=n, severity=t.severity) for n, t in self._notifier.targets.items()]
        return msgspec.json.encode(Listing(alerts=listed, targets=targets))

    async def _try(self, data: bytes) -> bytes:
        try:
            asked = msgspec.json.decode(data, type=Asked)
        except msgspec.ValidationError as error:
            raise InputError(f"alerts_test: {error}") from error
        names = list(self._notifier.targets) if asked.target is None else [asked.target]
        for name in names:
            if name not in self._notifier.targets:
                known = ", ".join(self._notifier.targets) or "none is set"
                raise InputError(f"target: {name!r}, expected one of alert_targets: {known}")
        return msgspec.json.encode({"targets": await asyncio.gather(*map(self._try_one, names))})

    async def _try_one(self, name: str) -> Tried:
        now = self._context.clock.now_ns()
        alert = Alert(
            id=derive_id("alert", "Test", name, now),
            ts=now,
            v=ALERT_VERSION,
            name="Test",
            severity="warning",
            status="firing",
            summary="this is a test of Heliograph's alerts",
            labels={},
            since=now,
            remedy="Nothing is wrong: somebody ran `heliograph alerts test`.",
        )
        try:
            await self._notifier.send(name, alert)
        except UnavailableError as error:
            return Tried(target=name, delivered=False, reason=str(error))
        return Tried(target=name, delivered=True)
