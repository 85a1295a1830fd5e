"""The fetcher's settings."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from heliograph.common.config import Settings, from_env
from heliograph.common.errors import InputError
from heliograph.common.subjects import check_symbol

REPLAY: Final = "replay"
KRAKEN: Final = "kraken"
KRAKEN_SYMBOLS: Final = (
    "BTC/USD",
    "ETH/USD",
    "SOL/USD",
    "XRP/USD",
    "DOGE/USD",
    "ADA/USD",
    "LTC/USD",
    "LINK/USD",
)
"""What Kraken is asked for where nothing else is: pairs that trade in nearly every minute."""
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class FetcherSettings(Settings):
    """What the fetcher needs beyond every service's settings."""

    provider: Literal["replay", "kraken", "massive", "massive-polling"] = Field(
        REPLAY,
        description="where bars come from: `replay` stored ones, any other live; `kraken` needs no account",
    )
    data: Path | None = Field(
        None, validate_default=True, description="folder of Parquet files with the bars; `replay` needs it"
    )
    symbols: tuple[str, ...] = Field(
        (),
        validate_default=True,
        description='what a live provider is asked for, e.g. ["AAPL", "MSFT"]; `kraken` has its own default',
    )
    look_back_days: float = Field(
        30.0,
        gt=0,
        le=365,
        allow_inf_nan=False,
        description="days of bars fetched for a symbol without any, and at most after a pause; live only",
    )
    settle_s: float = Field(
        1.0,
        ge=0,
        le=30,
        allow_inf_nan=False,
        description="how long bars of one minute wait for others of their shard; live only",
    )
    kraken_rest_url: str = Field("https://api.kraken.com", pattern="^https?://[^ ]+$")
    kraken_stream_url: str = Field("wss://ws.kraken.com/v2", pattern="^wss?://[^ ]+$")
    kraken_rate: float = Field(
        1.0, gt=0, le=1000, allow_inf_nan=False, description="requests a second, of all replicas with Redis"
    )
    kraken_grace_s: float = Field(
        2.0,
        ge=0,
        le=30,
        allow_inf_nan=False,
        description="how long after its end a minute is complete, where no trade of the next one has come",
    )
    massive_api_key: str = Field(
        "", validation_alias=from_env("MASSIVE_API_KEY"), repr=False, description="needed by `massive`"
    )
    massive_rest_url: str = Field("https://api.massive.com", pattern="^https?://[^ ]+$")
    massive_stream_url: str = Field("wss://socket.massive.com/stocks", pattern="^wss?://[^ ]+$")
    massive_rate: float = Field(
        5.0, gt=0, le=1000, allow_inf_nan=False, description="requests a second, of all replicas with Redis"
    )
    massive_burst: int = Field(10, ge=1, le=1000, description="requests at once, within that rate")
    poll_high: tuple[str, ...] = Field(
        ("AAPL", "NVDA", "TSLA"), description="symbols of the tier HIGH; these settings are for polling only"
    )
    poll_medium: tuple[str, ...] = Field(
        ("MSFT", "GOOGL", "META"), description="symbols of the tier MEDIUM; all others are LOW"
    )
    poll_busiest: int = Field(
        10, ge=0, description="so many that traded most value in the last hour are HIGH, too"
    )
    poll_high_s: Seconds = Field(5.0, description="seconds between two polls of a symbol of HIGH")
    poll_medium_s: Seconds = Field(15.0, description="the same of MEDIUM")
    poll_low_s: Seconds = Field(60.0, description="the same of LOW")
    poll_off_hours: Factor = Field(3.0, description="factor of the interval while the market is closed")
    poll_volatile: tuple[tuple[Percent, Factor], ...] = Field(
        ((5.0, 0.5), (2.0, 0.75)),
        description="(range of the last hour in % of the price, factor of the interval over it)",
    )
    poll_calm: tuple[Percent, Factor] = Field((0.5, 2.0), description="the same, under it")
    poll_correlation: float = Field(
        0.7, gt=0, le=1, description="correlation from which on symbols are polled together"
    )
    poll_call_symbols: int = Field(100, ge=1, le=1000, description="symbols of one call at most")
    poll_settle_s: float = Field(
        2.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="how long after its end a minute is complete; of delayed data the delay and as much",
    )
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

    @field_validator("data", mode="after")
    @classmethod
    def _replay_has_data(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None and info.data.get("provider") == REPLAY:
            raise ValueError("expected a folder, since the provider is `replay`")
        return value

    @field_validator("symbols", mode="after")
    @classmethod
    def _live_has_symbols(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for symbol in value:
            try:
                check_symbol(symbol)
            except InputError as error:
                raise ValueError(str(error)) from None
        if not value and info.data.get("provider") == KRAKEN:
            return KRAKEN_SYMBOLS
        if not value and info.data.get("provider", REPLAY) != REPLAY:
            raise ValueError(f"expected at least one, since the provider is `{info.data['provider']}`")
        return tuple(dict.fromkeys(value))
