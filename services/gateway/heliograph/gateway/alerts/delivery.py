"""The delivery of alerts: a durable consumer for each target, so that one that is away holds up no other.

Replicas share the consumers. An alert is delivered at least once: again only where a process dies between the
delivery and its acknowledgement.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection

import msgspec
import structlog
from nats.errors import Error as NatsError
from nats.js import JetStreamContext, api

from heliograph.common import metrics, subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import Clock
from heliograph.common.errors import UnavailableError
from heliograph.common.events import Alert, DeadLetter, encode
from heliograph.common.ids import derive_id
from heliograph.gateway.alerts.notify import Notifier
from heliograph.gateway.alerts.settings import AlertSettings

STREAM = "ALERT"
UNDELIVERED = "AlertsUndelivered"
"""The alert about alerts that do not arrive: that it does not arrive either is not counted again."""
LONGEST_PAUSE_S = 30.0
ACK_WAIT_S = 75.0
"""More than a pause and a try take; whoever comes after a killed replica waits for so long."""
FETCH_S = 5.0
AWAY_S = 1.0
FORGOTTEN_S = 7 * 86_400.0
"""A target that is taken out of the settings: its consumer goes when the stream keeps nothing for it."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
_decoder = msgspec.json.Decoder(Alert)


class Delivery:
    """One task a target, from `start` to `stop`."""

    def __init__(
        self, bus: Bus, notifier: Notifier, settings: AlertSettings, names: Collection[str], clock: Clock
    ) -> None:
        self._bus = bus
        self._notifier = notifier
        self._settings = settings
        self._names = set(names)
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Check the targets and begin.

        Raises:
            ConfigError: a target is none.
            UnavailableError: the server does not answer.
        """
        await self._notifier.check()
        for name in self._notifier.targets:
            # Its consumer is there before the watch begins: a new target misses nothing.
            first = await self._subscribe(name)
            task = asyncio.create_task(self._keep_delivering(name, first), name=f"alerts to {name}")
            self._tasks.append(task)

    async def stop(self) -> None:
        """End; what was not delivered waits in the stream."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_delivering(self, name: str, first: JetStreamContext.PullSubscription) -> None:
        subscription: JetStreamContext.PullSubscription | None = first
        while True:
            try:
                subscription = subscription or await self._subscribe(name)
                while True:
                    await self._next(name, subscription)
            except (NatsError, OSError, TimeoutError, UnavailableError) as error:
                await log.awarning("alerts wait", target=name, error=repr(error))
                await asyncio.sleep(AWAY_S)
                subscription = None
            except asyncio.CancelledError:
                # Else the server would still give the next message to whoever asked last.
                with contextlib.suppress(NatsError):
                    await (subscription or first).unsubscribe()
                raise

    async def _subscribe(self, name: str) -> JetStreamContext.PullSubscription:
        """The target's consumer, made where it is not there.

        Raises:
            UnavailableError: the server does not answer.
        """
        config = api.ConsumerConfig(
            durable_name=consumer_of(name),
            deliver_policy=api.DeliverPolicy.NEW,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            # One at a time, over all replicas: what is resolved is not told before it was raised.
            max_ack_pending=1,
            inactive_threshold=FORGOTTEN_S,
        )
        try:
            return await self._bus.js.pull_subscribe(
                "alert.*", durable=config.durable_name, stream=STREAM, config=config
            )
        except (NatsError, OSError, TimeoutError) as error:
            raise UnavailableError(f"alerts to {name}: {error!r}") from error

    async def _next(self, name: str, subscription: JetStreamContext.PullSubscription) -> None:
        with contextlib.suppress(TimeoutError):
            for message in await subscription.fetch(1, FETCH_S):
                try:
                    alert = _decoder.decode(message.data)
                except msgspec.DecodeError as error:
                    await log.aerror("not an alert", subject=message.subject, error=str(error))
                    await message.term()
                    return
                try:
                    if self._concerns(name, alert):
                        await self._deliver(name, alert, message.in_progress)
                except (asyncio.CancelledError, UnavailableError):
                    await message.nak()
                    raise
                await message.ack()

    def _concerns(self, name: str, alert: Alert) -> bool:
        """Whether the target wants it. Alerts that are not of the table are for the page alone."""
        least = self._notifier.targets[name].severity
        return alert.name in self._names and (least == "warning" or alert.severity == "critical")

    async def _deliver(self, name: str, alert: Alert, hold: Callable[[], Awaitable[None]]) -> None:
        """Send until it is taken, or record that it was not.

        Raises:
            UnavailableError: it could not even be recorded: it comes again.
        """
        reason = ""
        for tried in range(self._settings.alert_tries):
            if tried:
                await asyncio.sleep(min(LONGEST_PAUSE_S, self._settings.alert_retry_s * 2 ** (tried - 1)))
                await hold()
            try:
                await self._notifier.send(name, alert)
            except UnavailableError as error:
                reason = str(error)
                await log.awarning("alert not delivered", target=name, alert=alert.name, error=reason)
            else:
                metrics.ALERTS_DELIVERED.labels(name).inc()
                return
        await self._bury(name, alert, reason)
        if alert.name != UNDELIVERED:
            metrics.ALERTS_UNDELIVERED.labels(name).inc()

    async def _bury(self, name: str, alert: Alert, reason: str) -> None:
        letter = DeadLetter(
            id=derive_id("dead", "alert", name, alert.id),
            cause=alert.id,
            ts=self._clock.now_ns(),
            service="gateway",
            reason=f"alert not delivered in {self._settings.alert_tries} tries: {reason}",
            subject=f"alert.{alert.name}",
            payload=encode(alert),
        )
        subject = subjects.dead("gateway", "alerts")
        await self._bus.publish([Message(subject=subject, data=encode(letter), msg_id=letter.id)])


def consumer_of(target: str) -> str:
    """The name of a target's consumer."""
    return f"gateway-alerts-{derive_id('target', target)}"
