"""The provider Massive, the former Polygon: minute bars of US stocks by WebSocket, their past by REST."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from urllib.parse import quote, urlencode, urlsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException

from heliograph.common import metrics
from heliograph.common.clock import Clock
from heliograph.common.errors import ConfigError, InputError, UnavailableError
from heliograph.fetcher import health
from heliograph.fetcher.live.massive_wire import Frame, Status, frame, no_rows, page
from heliograph.fetcher.live.rate import Rate, window
from heliograph.fetcher.live.rest import Rest
from heliograph.fetcher.provider import Rows
from heliograph.fetcher.settings import FetcherSettings

NAME = "massive"
ORIGIN = "massive stream"
KEY = "MASSIVE_API_KEY"
ANSWER_S = 10.0
"""For the answer to a key or a subscription."""
SILENCE_S = 30.0
"""A connection on which nothing came for so long is alive all the same: the library's pings tell."""
AT_ONCE = 500
"""Symbols in one message that subscribes."""
WORKERS = 5
"""Symbols whose past is asked for at the same time."""
PAGE_ROWS = 50_000
MOST_BYTES = 16 << 20
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
        self._url = settings.massive_stream_url
        self._redis = health.connect(settings.redis_url)
        rate = Rate(NAME, window(settings.massive_rate, settings.massive_burst), self._redis, clock)
        self._rest = Rest(NAME, settings.massive_rest_url, self._key, KEY, rate, clock)
        self._socket: ClientConnection | None = None
        self._subscribed: set[str] = set()
        self._early: list[Rows] = []
        """What came before a subscription was confirmed; it is not lost where that is cut short."""

    async def close(self) -> None:
        """End the connections."""
        await self._hang_up()
        await self._rest.close()
        if self._redis is not None:
            await self._redis.aclose()

    async def history(self, symbols: Sequence[str], since_ns: int, until_ns: int) -> AsyncIterator[Rows]:
        """Minute bars of the past, `WORKERS` symbols at a time; prices in today's shares."""
        pages: asyncio.Queue[Rows | None] = asyncio.Queue()
        turns = asyncio.Semaphore(WORKERS)

        async def fetch(symbol: str) -> None:
            async with turns:
                async for rows in self._pages(symbol, since_ns, until_ns):
                    pages.put_nowait(rows)

        async def all_of_them() -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    for symbol in symbols:
                        group.create_task(fetch(symbol))
            finally:
                pages.put_nowait(None)

        work = asyncio.create_task(all_of_them())
        try:
            while (rows := await pages.get()) is not None:
                yield rows
            await work
        except BaseExceptionGroup as group:
            # A refused key is of more weight than the others' failures.
            refused = group.subgroup(ConfigError)
            raise first(refused or group) from None
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

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

    async def stream(self, symbols: Sequence[str]) -> AsyncIterator[Rows]:
        """Minute bars as they close; see `LiveProvider.stream`."""
        try:
            socket = self._socket or await self._call()
            for rows in await self._subscribe(socket, symbols):
                yield rows
            while True:
                yield (await self._receive(socket)).rows
        except (WebSocketException, OSError) as error:
            await self._hang_up()
            raise UnavailableError(f"{NAME}: {_why(error)}") from None
        except (UnavailableError, ConfigError):
            await self._hang_up()
            raise

    async def _call(self) -> ClientConnection:
        """A new connection whose key was accepted."""
        try:
            socket = await connect(self._url, open_timeout=ANSWER_S, max_size=MOST_BYTES)
        except InvalidURI as error:
            raise ConfigError(f"massive_stream_url: {error}") from None
        except TimeoutError:
            raise UnavailableError(f"{NAME}: {self._url}: no answer in {ANSWER_S:g} s") from None
        try:
            await socket.send(json.dumps({"action": "auth", "params": self._key}))
            async with _in_time("the key"):
                while not any(s.status == "auth_success" for s in (await self._receive(socket)).statuses):
                    pass
        except BaseException:
            await _closed(socket)
            raise
        self._socket, self._subscribed = socket, set()
        return socket

    async def _subscribe(self, socket: ClientConnection, symbols: Sequence[str]) -> list[Rows]:
        """Let the subscription be that of the symbols; a sign that it stands, and what came meanwhile."""
        wanted = set(symbols)
        for part in _parts(self._subscribed - wanted):
            await _ask(socket, "unsubscribe", part)
            self._subscribed.difference_update(part)
        for part in _parts(wanted - self._subscribed):
            await _ask(socket, "subscribe", part)
            async with _in_time("a subscription"):
                confirmed = False
                while not confirmed:
                    found = await self._receive(socket)
                    confirmed = _confirmed(found.statuses, part)
                    self._early.append(found.rows)
            self._subscribed.update(part)
        early, self._early = self._early, []
        return [no_rows(ORIGIN), *early]

    async def _receive(self, socket: ClientConnection) -> Frame:
        """The next message that can be read; one without rows after a silence.

        Raises:
            ConfigError: the server refuses the key, or what is subscribed to.
            UnavailableError: it ends the connection, or asks to come again.
        """
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    data = await socket.recv()
            except TimeoutError:
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

    async def _hang_up(self) -> None:
        socket, self._socket = self._socket, None
        self._subscribed = set()
        if socket is not None:
            await _closed(socket)


async def _closed(socket: ClientConnection) -> None:
    with contextlib.suppress(WebSocketException, OSError):
        await socket.close()


def _parts(symbols: set[str]) -> list[list[str]]:
    names = sorted(symbols)
    return [names[begin : begin + AT_ONCE] for begin in range(0, len(names), AT_ONCE)]


async def _ask(socket: ClientConnection, action: str, symbols: Sequence[str]) -> None:
    await socket.send(json.dumps({"action": action, "params": ",".join(f"AM.{s}" for s in symbols)}))


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


@contextlib.asynccontextmanager
async def _in_time(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except TimeoutError:
        raise UnavailableError(f"{NAME}: no answer to {what} in {ANSWER_S:g} s") from None


def _why(error: Exception) -> str:
    if isinstance(error, ConnectionClosed):
        return f"the connection was closed: {error}"
    return f"{type(error).__name__}: {error}"


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first of the errors in a group of groups."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
