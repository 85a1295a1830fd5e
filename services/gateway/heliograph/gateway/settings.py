"""What the gateway can be told."""

from pydantic import Field

from heliograph.common.config import Settings


class GatewaySettings(Settings):
    """Settings of the gateway, beside those of every service."""

    gateway_host: str = Field("127.0.0.1", min_length=1, description="address that the page listens on")
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
    live_clients: int = Field(500, ge=1, le=100_000, description="WebSocket clients at once")
