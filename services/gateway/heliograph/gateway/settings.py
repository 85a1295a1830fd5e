"""What the gateway can be told."""

from typing import Literal

from pydantic import Field

from heliograph.common.config import from_env
from heliograph.gateway.alerts.settings import AlertSettings


class GatewaySettings(AlertSettings):
    """Settings of the gateway, beside those of every service."""

    gateway_host: str = Field("127.0.0.1", min_length=1, description="address that the page listens on")
    gateway_auth: Literal["auto", "on", "off"] = Field(
        "auto",
        description="whether the API needs a token; auto: unless `gateway_host` is this machine alone",
    )
    gateway_tokens_file: str = Field(
        "", description="file of the API's tokens, see the page on the API; `heliograph token` writes it"
    )
    gateway_rate_per_minute: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="calls a minute of one token or address; unset: 100 where a token is needed, else none",
    )
    gateway_body_bytes: int = Field(
        65_536, ge=1024, le=16 << 20, description="bytes of a request's body at most; more is refused (413)"
    )
    redis_url: str = Field("", validation_alias=from_env("REDIS_URL"), repr=False)
    gateway_port: int = Field(
        0, ge=0, le=65535, description="port of the page and the API; 0 takes a free one"
    )
    live_frames_per_s: float = Field(
        20.0, gt=0, le=100, description="frames a second that a client gets at most"
    )
    live_frame_messages: int = Field(
        100, ge=1, le=10_000, description="messages in a frame at most; older ones are skipped and counted"
    )
    live_queue_frames: int = Field(
        32,
        ge=1,
        le=1000,
        description="frames that wait for one client; one more closes the connection (1013)",
    )
    live_clients: int = Field(2000, ge=1, le=100_000, description="WebSocket clients at once")
