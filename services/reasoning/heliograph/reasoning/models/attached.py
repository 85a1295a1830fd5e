"""The models of a service, which count its replicas by its bus."""

from heliograph.common.service import Context
from heliograph.common.spend.live import counting
from heliograph.common.spend.usage import Usage
from heliograph.reasoning.models.build import BuiltModels, build
from heliograph.reasoning.settings import ReasoningSettings


def attached(context: Context, settings: ReasoningSettings, usage: Usage) -> BuiltModels:
    """The models in the order of the settings.

    Raises:
        ConfigError: a provider is unknown or described wrongly, or `redis_url` is not one.
    """
    live = counting(context.bus, context.name, settings.member_ttl_s)
    return build(settings, context.clock, live, usage=usage)
