"""Whether there is need of models at all; apart from them, since their imports take time."""

import os
from collections.abc import Mapping

from heliograph.reasoning.models.provider import providers
from heliograph.reasoning.settings import ReasoningSettings


def asked(settings: ReasoningSettings) -> list[str]:
    """The names of all providers that may be asked, each once, the general ones first."""
    research = settings.research_models if "research" in settings.vote_sources else []
    return [*settings.models, *(name for name in research if name not in settings.models)]


def wanted(settings: ReasoningSettings, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a provider may have a key: else there is no need of models.

    Raises:
        ConfigError: a provider is unknown or described wrongly.
    """
    found = providers(asked(settings), settings.providers)
    if settings.keys_folder or settings.keys_secret:
        return bool(found)
    return any(not p.key or environment.get(p.key, "").strip() for p in found)
