"""The models of a service, which count its replicas by its bus."""

import asyncio

from heliograph.common.service import Context
from heliograph.common.spend.live import live_members
from heliograph.common.spend.usage import Usage
from heliograph.reasoning.models.build import BuiltModels, build
from heliograph.reasoning.settings import ReasoningSettings

LIVE_S = 1.0
"""So long the count of the replicas may take; else it is not known."""


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

    return build(settings, context.clock, live, usage=usage)
