"""The gateway as a service of the platform."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import uvicorn

from heliograph.common import probes
from heliograph.common.clock import Clock
from heliograph.common.errors import ConfigError, InvariantError
from heliograph.common.service import Context, ShardProcessor, Source
from heliograph.gateway.access import Access, is_loopback
from heliograph.gateway.alerts.service import Alerts
from heliograph.gateway.app import create_app, problems
from heliograph.gateway.hub import Hub
from heliograph.gateway.live import LiveProtocol, subscribe
from heliograph.gateway.remembering import Nonces, RateLimit, Shared
from heliograph.gateway.settings import GatewaySettings
from heliograph.gateway.signing import WINDOW_S
from heliograph.gateway.tokens import Tokens

GRACE_S = 2
PER_MINUTE = 100
"""Calls of one caller where a token is needed and nothing else is said."""
MAX_CLIENT_MESSAGE = 4096
"""Bytes; a client of /live has nothing to say."""


class GatewayService:
    """Serves the page, the API and the live events; keeps nothing, so that any number of replicas may run."""

    name = "gateway"
    sources: tuple[Source, ...] = ()
    sharded = False

    def __init__(self) -> None:
        self.url = ""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, context: Context) -> None:
        """Listen to the bus and to the port.

        Raises:
            ConfigError: the port is taken, the tokens cannot be read or are needed and missing, or the
                settings are another service's.
        """
        settings = context.settings
        if not isinstance(settings, GatewaySettings):
            raise ConfigError(f"settings: {type(settings).__name__}, expected GatewaySettings")
        self._bus = context.bus
        self._hub = Hub(
            frames_per_s=settings.live_frames_per_s,
            frame_messages=settings.live_frame_messages,
            queue_frames=settings.live_queue_frames,
            clients=settings.live_clients,
        )
        self._shared = Shared(settings.redis_url, context.clock)
        access = door(settings, self._shared, context.clock)
        sock = probes.listen(settings.gateway_host, settings.gateway_port, "gateway_port")
        host = f"[{settings.gateway_host}]" if ":" in settings.gateway_host else settings.gateway_host
        self.url = f"http://{host}:{sock.getsockname()[1]}"
        await subscribe(self._bus, self._hub)
        self._server = probes.QuietServer(
            uvicorn.Config(
                create_app(self._bus, self._hub, context.clock, access, settings.gateway_body_bytes),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                ws=LiveProtocol,
                ws_max_size=MAX_CLIENT_MESSAGE,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._tasks = [
            asyncio.create_task(self._server.serve(sockets=[sock]), name="http"),
            asyncio.create_task(self._hub.run(), name="hub"),
        ]
        self._alerts = Alerts(context, settings)
        await self._alerts.start()

    def processor(self, shard: int) -> ShardProcessor:
        """The gateway has no shards.

        Raises:
            InvariantError: always.
        """
        raise InvariantError(f"shard {shard}: the gateway takes no shards")

    async def problems(self) -> dict[str, str]:
        """Why it is not ready."""
        if not self._tasks:
            return {"http": "not started"}
        ended = {t.get_name(): "has stopped" for t in self._tasks if t.done()}
        return {**problems(self._bus), **ended, **self._alerts.problems()}

    async def status(self) -> dict[str, Any]:
        """Where the page is, and how many watch it."""
        return {
            "url": self.url,
            "clients": self._hub.clients,
            "events": self._hub.events,
            "dropped_clients": self._hub.dropped,
        }

    async def stop(self) -> None:
        """Close the connections and the port."""
        if not self._tasks:
            return
        await self._alerts.stop()
        self._server.should_exit = True
        http, hub = self._tasks
        hub.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await hub
        await http
        await self._shared.close()


def door(settings: GatewaySettings, shared: Shared, clock: Clock) -> Access:
    """Who may come in, by the settings.

    Raises:
        ConfigError: tokens are needed and there is no file of them, or it cannot be read.
    """
    local = is_loopback(settings.gateway_host)
    needed = settings.gateway_auth == "on" or (settings.gateway_auth == "auto" and not local)
    if needed and not settings.gateway_tokens_file:
        raise ConfigError(
            "gateway_tokens_file: '', expected a file of tokens, which `heliograph token` writes, since "
            f"gateway_host is {settings.gateway_host!r} and gateway_auth {settings.gateway_auth!r}"
        )
    tokens = Tokens(Path(settings.gateway_tokens_file), clock) if needed else None
    per_minute = settings.gateway_rate_per_minute or (PER_MINUTE if needed else None)
    return Access(
        tokens,
        RateLimit(per_minute, shared) if per_minute else None,
        Nonces(2 * WINDOW_S, shared, clock),
        clock,
        local=local and not needed,
    )
