"""What the panel needs beyond every service's settings."""

from typing import Literal

from pydantic import AliasChoices, Field

from heliograph.common.config import Settings
from heliograph.reasoning.panel.records.metered import PaidData

FINANCIAL_DATASETS = "https://api.financialdatasets.ai"
FMP = "https://financialmodelingprep.com/stable"


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
    financial_datasets_url: str = Field(
        FINANCIAL_DATASETS,
        description="Financial Datasets, asked where there is a FINANCIAL_DATASETS_API_KEY",
    )
    fmp_url: str = Field(FMP, description="Financial Modeling Prep, asked where there is an FMP_API_KEY")
    financial_datasets: PaidData = Field(PaidData(), description="its price and limits, JSON")
    fmp: PaidData = Field(PaidData(), description="price and limits of Financial Modeling Prep, JSON")
    keys_folder: str = Field("", description="folder of mounted secrets, one file a key, e.g. GLM_API_KEY")
    keys_secret: str = Field("", description="name of a secret in AWS Secrets Manager: JSON, key → value")
    panel_runs: int = Field(50, ge=1, le=1000, description="runs of the panel at once; more wait")
    panel_model_wait_s: float = Field(15.0, gt=0, le=120, description="for the answer of one persona's model")
    panel_without_model: Literal["score", "abstain"] = Field(
        "score", description="what a persona does whose model gives no answer"
    )
    panel_manager_asks: bool = Field(
        default=False, description="whether the portfolio manager asks a model too: one call longer"
    )
    panel_answers: int = Field(10_000, ge=1, description="answers of models kept in memory for reruns")


def paid(settings: PanelSettings) -> tuple[tuple[str, PaidData], ...]:
    """The providers of data that want money, as metrics and budgets call them."""
    return ("financial_datasets", settings.financial_datasets), ("fmp", settings.fmp)
