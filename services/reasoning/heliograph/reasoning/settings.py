"""The reasoning service's settings."""

from typing import Any, ClassVar, Literal

from pydantic import AliasChoices, Field, field_validator

from heliograph.common.config import from_env
from heliograph.reasoning.panel.settings import PanelSettings

VOTE_SOURCES = ("models", "research")


class ReasoningSettings(PanelSettings):
    """What reasoning needs beyond every service's settings."""

    own_nice: ClassVar[int] = 5

    redis_url: str = Field("", validation_alias=from_env("REDIS_URL"), repr=False)
    explanation_cache_size: int = Field(10_000, ge=1, description="explanations kept in memory")
    explanation_ttl_s: float = Field(3600.0, gt=0, le=86_400, description="how long an explanation is reused")
    models: list[str] = Field(
        ["glm", "deepseek", "qwen"], description="providers of language models, in the order they are asked"
    )
    providers: dict[str, dict[str, Any]] = Field(
        {}, description="provider → fields that differ from what is known of it, see the page on models"
    )
    models_at_once: bool = Field(
        default=False, description="ask the first two providers together; doubles the cost"
    )
    research_models: list[str] = Field(
        ["sonar"],
        description="providers that search the web, asked for the votes of `research` in their order",
    )
    vote_sources: tuple[str, ...] = Field(
        (),
        validation_alias=AliasChoices("HELIOGRAPH_VOTE_SOURCES", "vote_sources", "HELIOGRAPH_SOURCES"),
        description="answers requests for votes of `models` and `research`, of those of both that are named; "
        "HELIOGRAPH_SOURCES where not given",
    )
    model_deadline_s: float = Field(10.0, gt=0, le=60, description="for an answer, all tries included")
    reason_models: Literal["between", "always", "never"] = Field(
        "between", description="for which signals a model is asked: those that are not clear, all, or none"
    )
    reason_strong: float = Field(
        80.0, ge=0, le=100, description="raw confidence over which a signal is clear without a model"
    )

    @field_validator("vote_sources")
    @classmethod
    def _answered_here(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        """The other sources of the platform are answered elsewhere."""
        return tuple(source for source in VOTE_SOURCES if source in sources)
