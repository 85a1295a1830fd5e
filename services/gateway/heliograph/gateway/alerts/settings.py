"""What the watch for alerts can be told."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from heliograph.common.config import Settings


class AlertTarget(BaseModel):
    """Where alerts go: a URL of Apprise, with `{NAME}` for each secret, and from which severity on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(min_length=1, repr=False)
    severity: Literal["warning", "critical"] = "warning"


class AlertSettings(Settings):
    """Settings of the alerts, beside those of every service."""

    alerts: bool = Field(
        default=True, description="whether to watch for alerts; Prometheus can do it instead"
    )
    alerts_every_s: float = Field(10.0, gt=0, le=60, description="seconds between two looks at all alerts")
    alert_targets: dict[str, AlertTarget] = Field(
        {}, repr=False, description="name → URL and least severity, see the page on alerts"
    )
    alert_tries: int = Field(
        8, ge=1, le=100, description="tries to deliver an alert before it is recorded as undelivered"
    )
    alert_retry_s: float = Field(
        2.0, gt=0, le=60, description="pause after the first try; each is twice the one before, at most 30 s"
    )
    keys_folder: str = Field("", description="folder of mounted secrets, one file a key, e.g. GLM_API_KEY")
    keys_secret: str = Field("", description="name of a secret in AWS Secrets Manager: JSON, key → value")
