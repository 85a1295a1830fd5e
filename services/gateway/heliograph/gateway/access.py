"""Who may ask what: a bearer token or a signature where one is needed, scopes, origins, calls a minute."""

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.exceptions import (
    NotAuthorizedException,
    PermissionDeniedException,
    TooManyRequestsException,
)
from litestar.handlers import BaseRouteHandler

from heliograph.common.clock import NANOSECONDS, Clock
from heliograph.common.errors import InputError
from heliograph.gateway import signing
from heliograph.gateway.operation_records import Scope
from heliograph.gateway.refusals import refuse_unknown
from heliograph.gateway.remembering import Nonces, RateLimit
from heliograph.gateway.tokens import Token, Tokens

AnyConnection = ASGIConnection[Any, Any, Any, Any]

SCOPES: tuple[Scope, ...] = ("read", "run", "admin")
SAFE = {"GET", "HEAD", "OPTIONS"}
PROTOCOL = "heliograph.live"
"""What the WebSocket speaks; beside it a browser, which cannot send headers, offers `bearer.<base64url>`."""
BEARER_PROTOCOL = "bearer."
LIMITS = "heliograph.limits"
"""Where the ASGI scope keeps the headers that tell a caller its limits."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks; `known` by a token, or anybody where none is needed."""

    name: str = ""
    scopes: tuple[Scope, ...] = SCOPES
    known: bool = False


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """The door.

    Args:
        tokens: those that open it; None where everybody may come in.
        limit: of calls a minute, by token or address; None for none.
        local: the gateway listens on this machine alone: a page that reaches it by another host's name is a
            stranger's, led here by its own DNS.
    """

    def __init__(
        self, tokens: Tokens | None, limit: RateLimit | None, nonces: Nonces, clock: Clock, *, local: bool
    ) -> None:
        self._tokens = tokens
        self._limit = limit
        self._nonces = nonces
        self._clock = clock
        self._local = local

    @property
    def needs_token(self) -> bool:
        """Whether a token is needed."""
        return self._tokens is not None

    async def admit(self, connection: AnyConnection, scope: Scope) -> Caller:
        """Let a caller in.

        Raises:
            NotAuthorizedException: without a token where one is needed, or with a wrong one.
            PermissionDeniedException: a stranger's page, or a token without the scope.
            TooManyRequestsException: too many calls within a minute.
        """
        self._check_origin(connection)
        try:
            caller = await self._caller(connection)
        except NotAuthorizedException:
            await self._count(connection, f"address:{_address(connection)}")
            raise
        await self._count(
            connection, f"token:{caller.name}" if caller.known else f"address:{_address(connection)}"
        )
        if scope not in caller.scopes and "admin" not in caller.scopes:
            raise PermissionDeniedException(f"scope: {', '.join(caller.scopes)}, expected {scope}")
        return caller

    def _check_origin(self, connection: AnyConnection) -> None:
        host = connection.headers.get("host", "")
        if self._local and not is_loopback(urlsplit(f"//{host}").hostname or ""):
            raise PermissionDeniedException(f"host: {host!r}, expected an address of this machine")
        method = connection.scope.get("method", "GET")
        origin = connection.headers.get("origin")
        unsafe = method not in SAFE or connection.scope["type"] == ScopeType.WEBSOCKET
        if unsafe and origin is not None and urlsplit(origin).netloc != host:
            raise PermissionDeniedException(f"origin: {origin!r}, expected a page of this gateway")

    async def _caller(self, connection: AnyConnection) -> Caller:
        if self._tokens is None:
            return Caller()
        given = connection.headers.get("authorization") or _offered(connection.headers)
        scheme, _, value = given.partition(" ")
        if scheme.lower() == "bearer":
            token = self._tokens.by_bearer(value.strip())
            if token is None:
                raise _unauthorized("authorization: an unknown token")
        elif scheme.upper() == signing.SCHEME:
            token = await self._signer(connection, value)
        else:
            raise _unauthorized(f"authorization: expected `Bearer <token>` or `{signing.SCHEME} …`")
        return Caller(name=token.name, scopes=token.scopes, known=True)

    async def _signer(self, connection: AnyConnection, parameters: str) -> Token:
        try:
            given = signing.parse(parameters)
        except InputError as error:
            raise _unauthorized(str(error)) from error
        token = self._tokens.by_name(given.name) if self._tokens else None
        if token is None or token.hmac is None:
            raise _unauthorized("authorization: an unknown name")
        body = await connection.body() if isinstance(connection, Request) else b""
        raw: bytes = connection.scope.get("raw_path") or connection.scope["path"].encode()
        query: bytes = connection.scope["query_string"]
        target = raw.partition(b"?")[0] + (b"?" + query if query else b"")
        method = str(connection.scope.get("method", "GET"))
        now = self._clock.now_ns() / NANOSECONDS
        problem = signing.wrong(given, token.hmac, method, target.decode("latin-1"), body, now)
        if problem:
            raise _unauthorized(problem)
        if not await self._nonces.take(f"{given.name}:{given.nonce}"):
            raise _unauthorized(f"nonce: {given.nonce!r} has come before")
        return token

    async def _count(self, connection: AnyConnection, who: str) -> None:
        if self._limit is None:
            return
        allowed, headers = await self._limit.take(who)
        if not allowed:
            wait = headers["RateLimit-Reset"]
            raise TooManyRequestsException(
                f"too many requests: expected at most {headers['RateLimit-Limit']} a minute; "
                f"the next is taken in {wait} s",
                headers={**headers, "Retry-After": wait},
            )
        connection.scope[LIMITS] = headers  # type: ignore[literal-required]  # our own extension of the scope


def _address(connection: AnyConnection) -> str:
    return connection.client.host if connection.client else ""


def _offered(headers: Mapping[str, str]) -> str:
    """The token among the subprotocols that a browser offers, as an Authorization header would have it."""
    for protocol in headers.get("sec-websocket-protocol", "").split(","):
        name = protocol.strip()
        if name.startswith(BEARER_PROTOCOL):
            text = name.removeprefix(BEARER_PROTOCOL)
            try:
                shown = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
            except (binascii.Error, ValueError):
                return "Bearer "
            return f"Bearer {shown}"
    return ""


def _unauthorized(text: str) -> NotAuthorizedException:
    return NotAuthorizedException(text, headers={"WWW-Authenticate": "Bearer"})


async def admit(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """The guard of every question; a handler names another scope than `read` in its `opt`."""
    access: Access = connection.app.state.access
    connection.scope["user"] = await access.admit(connection, handler.opt.get("scope", "read"))


GUARDS = (admit, refuse_unknown)
