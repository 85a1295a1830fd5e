"""TLS towards NATS: what the settings name becomes one context, or says which file is wrong."""

import ssl
from pathlib import Path
from typing import Any

from nats.errors import Error as NatsError

from heliograph.common.config import Settings
from heliograph.common.errors import ConfigError
from heliograph.common.wire import WireClient


class NoTlsError(NatsError):
    """The server does not speak TLS, though the settings ask for it."""


class TlsClient(WireClient):
    """A client that says nothing, its password least of all, to a server that does not ask for TLS.

    The library takes TLS where the server offers it, and goes on without where it does not.
    """

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's signature
        if initial_connection and not info.get("tls_required"):
            raise NoTlsError("the server does not speak TLS")
        await super()._process_info(info, initial_connection)


def client_context(settings: Settings) -> ssl.SSLContext | None:
    """The context that checks the server and shows who we are; None where nothing asks for TLS.

    Raises:
        ConfigError: a file is missing or is not what its setting says.
    """
    if not (settings.nats_ca or settings.nats_cert or settings.nats_url.startswith("tls://")):
        if settings.nats_key:
            raise ConfigError("nats_key: is set without nats_cert, expected both or neither")
        return None
    if bool(settings.nats_cert) != bool(settings.nats_key):
        raise ConfigError("nats_cert, nats_key: one is set without the other, expected both or neither")
    for name in ("nats_ca", "nats_cert", "nats_key"):
        file = getattr(settings, name)
        if file and not Path(file).is_file():
            raise ConfigError(f"{name}: {file!r} is not a file")
    try:
        # Without a CA of its own the system's are trusted; name and chain are always checked.
        context = ssl.create_default_context(cafile=settings.nats_ca or None)
    except ssl.SSLError as error:
        raise ConfigError(f"nats_ca: {settings.nats_ca!r}, expected certificates in PEM: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.nats_cert:
        try:
            context.load_cert_chain(settings.nats_cert, settings.nats_key)
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(
                f"nats_cert: {settings.nats_cert!r} with nats_key {settings.nats_key!r}, "
                f"expected a certificate and its key in PEM: {error}"
            ) from error
    return context


def refused(error: BaseException, settings: Settings) -> str:
    """Why a failed connection will fail again, when it is for TLS; else empty."""
    if isinstance(error, NoTlsError):
        return f"nats_url: {settings.nats_url} does not speak TLS, which nats_ca or `tls://` asks for"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"nats_ca: {settings.nats_ca or 'the CAs of the system'} do not vouch for the certificate of "
            f"{settings.nats_url}: {error.verify_message}"
        )
    if isinstance(error, ssl.SSLError):
        return f"nats_cert: {settings.nats_cert or 'none'} is refused by {settings.nats_url}: {error.reason}"
    return ""
