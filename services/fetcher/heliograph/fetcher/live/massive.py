"""The provider Massive, the former Polygon: minute bars of US stocks by WebSocket, their past by REST."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from urllib.parse import quote, urlencode, urlsplit

import structlog

from heliograph.common import metrics
from heliograph.common.clock import Clock
from heliograph.common.errors import ConfigError, InputError, UnavailableError
from heliograph.fetcher import health
from heliograph.fetcher.live.columns import no_rows
from heliograph.fetcher.live.massive_wire import Frame, Status, frame, page
from heliograph.fetcher.live.rate import Rate, window
from heliograph.fetcher.live.rest import Rest
from heliograph.fetcher.live.side_by_side import side_by_side
from heliograph.fetcher.live.socket import Socket, parts
from heliograph.fetcher.provider import Rows
from heliograph.fetcher.settings import FetcherSettings

NAME = "massive"
ORIGIN = "massive stream"
KEY = "MASSIVE_API_KEY"
WORKERS = 5
"""Symbols whose past is asked for at the same time."""
PAGE_ROWS = 50_000
MS_NS = 1_000_000

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class MassiveProvider:
    """One WebSocket, kept while the symbols change, and REST beside it."""

    name = NAME
    interval = "1m"

    def __init__(self, settings: FetcherSettings, clock: Clock) -> None:
        if not settings.massive_api_key:
            raise ConfigError(f"{KEY}: none, but the provider `{settings.provider}` needs one")
        self._key = settings.massive_api_key
        self._redis = health.connect(settings.redis_url)
        rate = Rate(NAME, window(settings.massive_rate, settings.massive_burst), self._redis, clock)
        self._rest = Rest(NAME, settings.massive_rest_url, self._key, KEY, rate, clock)
        self._socket = Socket(NAME, settings.massive_stream_url, "massive_stream_url")
        self._subscribed: set[str] = set()
        self._early: list[Rows] = []
        """What came before a subscription was confirmed; it is not lost where that is cut short."""

    async def close(self) -> None:
        """End the connections."""
        await self._socket.hang_up()
        await self._rest.close()
        if self._redis is not None:
            await self._redis.aclose()

    async def history(self, symbols: Sequence[str], since_ns: int, until_ns: int) -> AsyncGenerator[Rows]:
        """Minute bars of the past, `WORKERS` symbols at a time; prices in today's shares."""
        past = side_by_side(symbols, lambda symbol: self._pages(symbol, since_ns, until_ns), WORKERS)
        async with contextlib.aclosing(past) as pages:
            async for rows in pages:
                yield rows

    async def _pages(self, symbol: str, since_ns: int, until_ns: int) -> AsyncIterator[Rows]:
        first, last = since_ns // MS_NS, until_ns // MS_NS - 1
        path = f"/v2/aggs/ticker/{quote(symbol, safe='')}/range/1/minute/{first}/{last}"
        query = urlencode({"adjusted": "true", "sort": "asc", "limit": PAGE_ROWS})
        while path:
            body = await self._rest.get(path, query)
            if body is None:
                await log.awarning("no bars of the past", provider=NAME, symbol=symbol, path=path)
                return
            try:
                found = page(body, symbol)
            except InputError as error:
                metrics.PROVIDER_GARBAGE.labels(NAME).inc()
                raise UnavailableError(f"{NAME}: {path}: {error}") from None
            yield found.rows
            # Of the address only what follows the host is taken, so that the key goes nowhere else.
            following = urlsplit(found.following)
            if (following.path, following.query) == (path, query):
                raise UnavailableError(f"{NAME}: {path}: the next page is the same again")
            path, query = following.path, following.query

    async def stream(self, symbols: Sequence[str]) -> AsyncGenerator[Rows]:
        """Minute bars as they close; see `LiveProvider.stream`."""
        async with self._socket.guarded():
            if not self._socket.is_open:
                await self._call()
            for rows in await self._subscribe(symbols):
                yield rows
            while True:
                yield (await self._receive()).rows

    async def _call(self) -> None:
        """A new connection whose key was accepted."""
        self._subscribed = set()
        await self._socket.call()
        try:
            await self._socket.send({"action": "auth", "params": self._key})
            async with self._socket.in_time("the key"):
                while not any(s.status == "auth_success" for s in (await self._receive()).statuses):
                    pass
        except BaseException:
            # Cut short here, too: a connection without a key is of no use.
            await self._socket.hang_up()
            raise

    async def _subscribe(self, symbols: Sequence[str]) -> list[Rows]:
        """Let the subscription be that of the symbols; a sign that it stands, and what came meanwhile."""
        wanted = set(symbols)
        for part in parts(self._subscribed - wanted):
            await self._ask("unsubscribe", part)
            self._subscribed.difference_update(part)
        for part in parts(wanted - self._subscribed):
            await self._ask("subscribe", part)
            async with self._socket.in_time("a subscription"):
                confirmed = False
                while not confirmed:
                    found = await self._receive()
                    confirmed = _confirmed(found.statuses, part)
                    self._early.append(found.rows)
            self._subscribed.update(part)
        early, self._early = self._early, []
        return [no_rows(ORIGIN), *early]

    async def _ask(self, action: str, symbols: Sequence[str]) -> None:
        await self._socket.send({"action": action, "params": ",".join(f"AM.{s}" for s in symbols)})

    async def _receive(self) -> Frame:
        """The next message that can be read; one without rows after a silence.

        Raises:
            ConfigError: the server refuses the key, or what is subscribed to.
            UnavailableError: it ends the connection, or asks to come again.
        """
        while True:
            data = await self._socket.receive()
            if data is None:
                return Frame(statuses=[], rows=no_rows(ORIGIN), garbage=0)
            try:
                found = frame(data, ORIGIN)
            except InputError as error:
                metrics.PROVIDER_GARBAGE.labels(NAME).inc()
                await log.awarning("garbage", provider=NAME, error=str(error))
                continue
            if found.garbage:
                metrics.PROVIDER_GARBAGE.labels(NAME).inc(found.garbage)
                await log.awarning("garbage", provider=NAME, parts=found.garbage)
            for status in found.statuses:
                _check(status)
            return found


def _check(status: Status) -> None:
    """Raise what a status means, unless all is well."""
    told = status.message or status.status
    if status.status == "auth_failed":
        metrics.KEYS_REFUSED.labels(NAME).inc()
        raise ConfigError(f"{KEY}: {NAME} refuses the key: {told}")
    if status.status == "error" and "not authorized" in told.lower():
        raise ConfigError(f"{KEY}: the plan of this key does not cover the stream: {told}")
    if status.status in ("error", "auth_timeout", "max_connections", "force_disconnect"):
        raise UnavailableError(f"{NAME}: {status.status}: {told}")


def _confirmed(statuses: Sequence[Status], names: Sequence[str]) -> bool:
    """Whether one of the names is said to be subscribed to: the server answers in the order of requests."""
    for status in statuses:
        _, found, channels = status.message.partition("subscribed to:")
        told = {channel.strip().removeprefix("AM.") for channel in channels.split(",")}
        if status.status == "success" and found and not told.isdisjoint(names):
            return True
    return False
