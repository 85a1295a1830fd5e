"""What the panel needs beyond every service's settings."""

from typing import Literal

from pydantic import AliasChoices, Field

from heliograph.common.config import Settings


class PanelSettings(Settings):
    """Where the panel's data come from, and how it deals with models."""

    panel_data: str = Field(
        "",
        validation_alias=AliasChoices("HELIOGRAPH_PANEL_DATA", "panel_data", "HELIOGRAPH_DATA", "data"),
        description="folder of daily bars and `fundamentals` for the panel; HELIOGRAPH_DATA where not given",
    )
    sec_user_agent: str = Field(
        "",
        description="a name and an e-mail address for the SEC, which is asked for filings when it is set",
    )
    panel_runs: int = Field(50, ge=1, le=1000, description="runs of the panel at once; more wait")
    panel_model_wait_s: float = Field(15.0, gt=0, le=120, description="for the answer of one persona's model")
    panel_without_model: Literal["score", "abstain"] = Field(
        "score", description="what a persona does whose model gives no answer"
    )
    panel_manager_asks: bool = Field(
        default=False, description="whether the portfolio manager asks a model too: one call longer"
    )
    panel_answers: int = Field(10_000, ge=1, description="answers of models kept in memory for reruns")
