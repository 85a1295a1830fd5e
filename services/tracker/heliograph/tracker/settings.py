"""What can be set for the tracker."""

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, ValidationInfo, field_validator

from heliograph.common.config import Settings, from_env
from heliograph.tracker.closing import Costs


class TrackerSettings(Settings):
    """The tracker's settings beside those that every service has."""

    postgres_url: str = Field(
        "postgresql://127.0.0.1:5432/heliograph", validation_alias=from_env("POSTGRES_URL"), repr=False
    )
    postgres_owner_url: str = Field(
        "",
        validation_alias=from_env("POSTGRES_OWNER_URL"),
        repr=False,
        description="owner of the tables, who alone may change them; without it the tracker is",
    )
    postgres_read_url: str = Field(
        "",
        validation_alias=from_env("POSTGRES_READ_URL"),
        repr=False,
        description="a replica that answers questions about the record; without it the record does",
    )
    postgres_pool: int = Field(10, ge=1, le=1000, description="connections kept open")
    postgres_overflow: int = Field(20, ge=0, le=1000, description="connections more under load")
    write_rows: int = Field(1000, ge=1, le=100_000, description="rows in one write transaction at most")
    recent_batches: int = Field(512, ge=1, description="bar batches of a shard kept for late signals")
    recent_bytes: int = Field(4 << 20, ge=1, description="bytes of them, a shard")
    signals_months: int = Field(
        0,
        ge=0,
        le=1200,
        description="months in the working table of signals, older ones are archived; 0: all",
    )
    sample_check_s: float = Field(
        3600, gt=0, le=86_400, description="seconds between checks of a sample of the record"
    )
    sample_rows: int = Field(1000, ge=1, le=100_000, description="rows in such a sample")
    full_check_s: float = Field(
        86_400, gt=0, le=604_800, description="seconds between checks of all the record"
    )
    slippage_percent: float = Field(0.05, ge=0, le=100, description="of entry, a round trip")
    spread_percent: float = Field(0.02, ge=0, le=100, description="of entry, a round trip")
    commission_percent: float = Field(0.1, ge=0, le=100, description="of entry, a round trip")

    calibration_days: int = Field(90, ge=1, le=3650, description="event time that a calibration learns from")
    calibration_every: int = Field(
        100, ge=1, description="new outcomes after which a calibration is trained; or a day of event time"
    )
    calibration_check_s: float = Field(5.0, gt=0, description="pause between two looks whether it is due")

    pattern_check_s: float = Field(5.0, gt=0, description="pause between two looks for cases that have ended")
    pattern_compressed: bool = Field(
        default=False, description="keep the vectors of cases by eight bits a number"
    )

    @field_validator("postgres_url", "postgres_owner_url", "postgres_read_url")
    @classmethod
    def _is_conninfo(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name != "postgres_url":
            return value
        expected = "expected postgresql://user:password@host:port/database, percent-encoded"
        if not value.startswith(("postgresql://", "postgres://")):
            raise ValueError(expected)
        try:
            conninfo_to_dict(value)
        except ProgrammingError:
            # Its text may quote a part of the password.
            raise ValueError(expected) from None
        return value

    @property
    def costs(self) -> Costs:
        """What a round trip costs."""
        return Costs(
            slippage=self.slippage_percent, spread=self.spread_percent, commission=self.commission_percent
        )
