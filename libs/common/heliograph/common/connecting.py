"""The way into NATS: user, inboxes, TLS, and a reconnection that never gives up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nats.errors import Error as NatsError

from heliograph.common import tls
from heliograph.common.config import Settings
from heliograph.common.errors import ConfigError
from heliograph.common.permissions import inbox
from heliograph.common.refusals import Refusals
from heliograph.common.wire import WireClient

PAUSE_S, PAUSE_MAX_S = 0.1, 2.0


async def open_client(
    settings: Settings, name: str, refusals: Refusals, reconnected: Callable[[], Awaitable[None]]
) -> WireClient:
    """A connected client, tried for as long as the server is away.

    Raises:
        ConfigError: the server refuses the user or the certificate, or we refuse the server's.
    """
    options: dict[str, Any] = {}
    if settings.nats_user:
        options |= {"user": settings.nats_user, "password": settings.nats_password}
        options["inbox_prefix"] = inbox(settings.nats_user)
    context = tls.client_context(settings)
    if context is not None:
        options["tls"] = context
    opening = True

    async def failed(error: Exception) -> None:
        # The library tries again for ever, whatever the reason: what can never succeed must end that.
        if opening and (reason := hopeless(error, settings)):
            raise ConfigError(reason) from error
        await refusals.note(error)

    pause = PAUSE_S
    while True:
        client = WireClient() if context is None else tls.TlsClient()
        try:
            await client.connect(
                settings.nats_url,
                name=name,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                reconnected_cb=reconnected,
                error_cb=failed,
                allow_reconnect=True,
                ping_interval=10,
                max_outstanding_pings=3,
                pending_size=16 << 20,
                **options,
            )
            opening = False
            return client
        except (OSError, NatsError, TimeoutError):
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_MAX_S)


def hopeless(error: BaseException, settings: Settings) -> str:
    """Why trying again will not help; empty when it may."""
    if "authorization" in str(error).lower():
        return f"nats_user: {settings.nats_user!r} is refused by {settings.nats_url}"
    return tls.refused(error, settings)
