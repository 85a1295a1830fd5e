"""The models of a service: they count its replicas and publish alerts on its bus."""

import asyncio

import structlog

from heliograph.common.bus import Message
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import UnavailableError
from heliograph.common.events import Alert, encode
from heliograph.common.ids import derive_id
from heliograph.common.service import Context
from heliograph.common.spend.live import live_members
from heliograph.common.spend.usage import Usage
from heliograph.reasoning.models.build import BuiltModels, build
from heliograph.reasoning.settings import ReasoningSettings

LIVE_S = 1.0
"""So long the count of the replicas may take; else it is not known."""
ALERT = "key_refused"

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def attached(context: Context, settings: ReasoningSettings, usage: Usage) -> BuiltModels:
    """The models in the order of the settings.

    Raises:
        ConfigError: a provider is unknown or described wrongly, or `redis_url` is not one.
    """

    async def live() -> int | None:
        try:
            async with asyncio.timeout(LIVE_S):
                return await live_members(context.bus, context.name, settings.member_ttl_s)
        except TimeoutError:
            return None

    async def alert(provider: str, summary: str) -> None:
        await publish_alert(context, provider, summary)

    return build(settings, context.clock, live, alert, usage=usage)


async def publish_alert(context: Context, provider: str, summary: str) -> None:
    """Publish that a key was refused; one alert a provider and day, and never a failure."""
    now = context.clock.now_ns()
    event = Alert(
        id=derive_id("alert", ALERT, provider, now // (86_400 * NANOSECONDS)),
        ts=now,
        name=ALERT,
        severity="warning",
        status="firing",
        summary=summary,
    )
    try:
        await context.bus.publish([Message(subject=f"alert.{ALERT}", data=encode(event), msg_id=event.id)])
    except UnavailableError as error:
        await log.awarning("alert not published", error=str(error))
