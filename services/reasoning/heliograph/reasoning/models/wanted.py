"""Whether there is need of models at all; apart from them, since their imports take time."""

import os
from collections.abc import Mapping

from heliograph.reasoning.models.provider import providers
from heliograph.reasoning.settings import ReasoningSettings


def wanted(settings: ReasoningSettings, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a provider may have a key: else there is no need of models.

    Raises:
        ConfigError: a provider is unknown or described wrongly.
    """
    found = providers(settings.models, settings.providers)
    if settings.keys_folder or settings.keys_secret:
        return bool(found)
    return any(not p.key or environment.get(p.key, "").strip() for p in found)
