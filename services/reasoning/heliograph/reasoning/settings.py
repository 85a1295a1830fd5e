"""The reasoning service's settings."""

from pydantic import Field

from heliograph.common.config import Settings, from_env


class ReasoningSettings(Settings):
    """What reasoning needs beyond every service's settings."""

    redis_url: str = Field("", validation_alias=from_env("REDIS_URL"), repr=False)
    explanation_cache_size: int = Field(10_000, ge=1, description="explanations kept in memory")
    explanation_ttl_s: float = Field(3600.0, gt=0, le=86_400, description="how long an explanation is reused")
