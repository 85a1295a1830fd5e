"""The fetcher's settings."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from heliograph.common.config import Settings, from_env


class FetcherSettings(Settings):
    """What the fetcher needs beyond every service's settings."""

    provider: Literal["replay"] = Field("replay", description="where bars come from; stored ones alone")
    data: Path = Field(description="folder of Parquet files with the bars to replay")
    speed: Literal["max"] | Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        "max",
        description="event seconds a second, e.g. 86400 for a day a second; max: as fast as consumers follow",
    )
    history_days: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="event days from the start of the data published at once"
    )
    tick_s: float = Field(
        30.0,
        ge=0,
        allow_inf_nan=False,
        description="event seconds after bars at which a tick ends decisions that wait; 0 and at `max`: none",
    )
    window_messages: int = Field(256, ge=1, le=1000, description="batches published together, all or none")
    bars_ahead: int = Field(
        250_000,
        ge=1,
        description="bars of a shard that may wait for its slowest consumer before the replay holds",
    )
    readers: tuple[str, ...] = Field(
        (),
        description='services that count as readers even before they have come, e.g. ["tracker"]',
    )
    redis_url: str = Field("", validation_alias=from_env("REDIS_URL"), repr=False)
