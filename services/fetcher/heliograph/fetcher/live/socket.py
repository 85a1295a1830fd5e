"""The WebSocket of a provider, kept while the symbols change."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Collection
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException

from heliograph.common.errors import ConfigError, UnavailableError

ANSWER_S = 10.0
"""For the answer to a call, a key or a subscription."""
SILENCE_S = 30.0
"""A connection on which nothing came for so long is alive all the same: the library's pings tell."""
MOST_BYTES = 16 << 20
AT_ONCE = 500
"""Symbols in one message that subscribes."""


class Socket:
    """One connection at most.

    Args:
        name: of the provider, in errors; `setting` the name of the setting that holds the address.
    """

    def __init__(self, name: str, url: str, setting: str) -> None:
        self._name = name
        self._url = url
        self._setting = setting
        self._connection: ClientConnection | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._connection is not None

    async def call(self) -> None:
        """Make a new connection.

        Raises:
            ConfigError: the address is none.
            UnavailableError: nobody answers in time. What else goes wrong `guarded` translates.
        """
        try:
            self._connection = await connect(self._url, open_timeout=ANSWER_S, max_size=MOST_BYTES)
        except InvalidURI as error:
            raise ConfigError(f"{self._setting}: {error}") from None
        except TimeoutError:
            raise UnavailableError(f"{self._name}: {self._url}: no answer in {ANSWER_S:g} s") from None

    async def send(self, message: dict[str, Any]) -> None:
        """Send JSON."""
        await self._connected().send(json.dumps(message))

    async def receive(self, silence_s: float = SILENCE_S) -> str | bytes | None:
        """The next message; None after a silence."""
        try:
            async with asyncio.timeout(silence_s):
                return await self._connected().recv()
        except TimeoutError:
            return None

    async def hang_up(self) -> None:
        """End the connection, if any."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(WebSocketException, OSError):
                await connection.close()

    @contextlib.asynccontextmanager
    async def guarded(self) -> AsyncGenerator[None]:
        """Hang up on any failure, and tell a lost connection as an outage."""
        try:
            yield
        except (WebSocketException, OSError) as error:
            await self.hang_up()
            raise UnavailableError(f"{self._name}: {_why(error)}") from None
        except (UnavailableError, ConfigError):
            await self.hang_up()
            raise

    @contextlib.asynccontextmanager
    async def in_time(self, what: str) -> AsyncGenerator[None]:
        """Give the server `ANSWER_S` for an answer."""
        try:
            async with asyncio.timeout(ANSWER_S):
                yield
        except TimeoutError:
            raise UnavailableError(f"{self._name}: no answer to {what} in {ANSWER_S:g} s") from None

    def _connected(self) -> ClientConnection:
        if self._connection is None:
            raise UnavailableError(f"{self._name}: not connected")
        return self._connection


def parts(symbols: Collection[str]) -> list[list[str]]:
    """Symbols in order, so many as one message may subscribe to."""
    names = sorted(symbols)
    return [names[begin : begin + AT_ONCE] for begin in range(0, len(names), AT_ONCE)]


def _why(error: Exception) -> str:
    if isinstance(error, ConnectionClosed):
        return f"the connection was closed: {error}"
    return f"{type(error).__name__}: {error}"
