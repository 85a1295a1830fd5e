"""The provider Kraken: minute bars of pairs of currencies without an account, by WebSocket and REST."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from urllib.parse import urlencode

import structlog

from heliograph.common import metrics
from heliograph.common.clock import NANOSECONDS, Clock
from heliograph.common.errors import ConfigError, InputError, UnavailableError
from heliograph.common.http_retry import AwayError
from heliograph.fetcher import health
from heliograph.fetcher.live.columns import columns, decoded
from heliograph.fetcher.live.forming import MINUTE_NS, Forming, newest_of_each, traded
from heliograph.fetcher.live.kraken_wire import (
    CHANNEL,
    INTERVAL,
    Candle,
    Message,
    errors_of,
    history,
    message,
    pair_of,
)
from heliograph.fetcher.live.rate import Rate, window
from heliograph.fetcher.live.rest import Rest
from heliograph.fetcher.live.side_by_side import side_by_side
from heliograph.fetcher.live.socket import Socket, parts
from heliograph.fetcher.provider import Rows
from heliograph.fetcher.settings import FetcherSettings

NAME = "kraken"
ORIGIN = "kraken stream"
PATH = "/0/public/OHLC"
WORKERS = 4
"""Pairs whose past is asked for at the same time; the rate holds for all of them together."""
LOOK_S = 0.5
"""Between two looks at the time while nothing comes: a candle may be complete without a later one."""
SILENCE_S = 30.0
"""Kraken sends a heartbeat each second in which it sends nothing else: after this the connection is dead."""
REFUSED = ("EQuery:", "EGeneral:Invalid arguments")
"""Errors of REST that asking again does not mend."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class KrakenProvider:
    """One WebSocket, kept while the symbols change, and REST for the last 720 minutes."""

    name = NAME
    interval = "1m"

    def __init__(self, settings: FetcherSettings, clock: Clock) -> None:
        for symbol in settings.symbols:
            base, _, quote = symbol.partition("/")
            if not (base and quote) or symbol != symbol.upper():
                raise ConfigError(
                    f"symbols: {symbol!r}, expected pairs as `BTC/USD` for the provider `{NAME}`"
                )
        self._clock = clock
        self._redis = health.connect(settings.redis_url)
        rate = Rate(NAME, window(settings.kraken_rate, 1), self._redis, clock)
        self._rest = Rest(
            NAME, settings.kraken_rest_url, "", "kraken_rest_url", rate, clock, check=_check_answer
        )
        self._socket = Socket(NAME, settings.kraken_stream_url, "kraken_stream_url")
        self._subscribed: set[str] = set()
        self._forming = Forming(round(settings.kraken_grace_s * NANOSECONDS))
        self._early: list[Candle] = []
        """Complete candles that nobody has read yet; they are not lost where a stream is cut short."""

    async def close(self) -> None:
        """End the connections."""
        await self._socket.hang_up()
        await self._rest.close()
        if self._redis is not None:
            await self._redis.aclose()

    async def history(self, symbols: Sequence[str], since_ns: int, until_ns: int) -> AsyncGenerator[Rows]:
        """Minute bars of the past; of what is older than 720 minutes Kraken tells nothing."""
        past = side_by_side(symbols, lambda symbol: self._past(symbol, since_ns, until_ns), WORKERS)
        async with contextlib.aclosing(past) as pages:
            async for rows in pages:
                yield rows

    async def _past(self, symbol: str, since_ns: int, until_ns: int) -> AsyncIterator[Rows]:
        # One minute more than is wanted: whether `since` itself is told of is nowhere said.
        since = max(0, since_ns - MINUTE_NS) // NANOSECONDS
        query = urlencode({"pair": pair_of(symbol), "interval": INTERVAL, "since": since})
        body = await self._rest.get(PATH, query)
        if body is None:
            raise UnavailableError(f"{NAME}: {PATH}: refused for {symbol}")
        try:
            found = history(body, symbol)
        except InputError as error:
            metrics.PROVIDER_GARBAGE.labels(NAME).inc()
            raise UnavailableError(f"{NAME}: {PATH}: {symbol}: {error}") from None
        if found.errors:
            raise ConfigError(f"symbols: {symbol!r}: {NAME}: {', '.join(found.errors)}")
        yield _rows(
            "kraken history", [c for c in found.candles if since_ns <= c.start < until_ns and traded(c)]
        )

    async def stream(self, symbols: Sequence[str]) -> AsyncGenerator[Rows]:
        """Minute bars as they are complete; see `LiveProvider.stream`."""
        async with self._socket.guarded():
            if not self._socket.is_open:
                # What was forming has gone on unseen: history tells of it.
                self._subscribed, self._early = set(), []
                self._forming.keep(())
                await self._socket.call()
            await self._subscribe(symbols)
            yield _rows(ORIGIN, [])
            heard = self._clock.monotonic()
            while True:
                self._early.extend(self._forming.ended(self._clock.now_ns()))
                if not self._early and await self._receive(LOOK_S) is not None:
                    heard = self._clock.monotonic()
                if self._early:
                    early, self._early = self._early, []
                    yield _rows(ORIGIN, early)
                if self._clock.monotonic() - heard > SILENCE_S:
                    raise UnavailableError(f"{NAME}: not even a heartbeat in {SILENCE_S:g} s")

    async def _subscribe(self, symbols: Sequence[str]) -> None:
        """Let the subscription be that of the symbols; what comes meanwhile is kept."""
        wanted = set(symbols)
        for part in parts(self._subscribed - wanted):
            await self._ask("unsubscribe", part)
            self._subscribed.difference_update(part)
        self._forming.keep(wanted)
        for part in parts(wanted - self._subscribed):
            await self._ask("subscribe", part)
            waiting = set(part)
            async with self._socket.in_time("a subscription"):
                while waiting:
                    told = await self._receive(SILENCE_S)
                    if told is not None and told.answer is not None and told.answer.method == "subscribe":
                        waiting.discard(told.answer.symbol)
            self._subscribed.update(part)

    async def _ask(self, method: str, symbols: Sequence[str]) -> None:
        params = {"channel": CHANNEL, "symbol": list(symbols), "interval": INTERVAL}
        await self._socket.send({"method": method, "params": params})

    async def _receive(self, patience_s: float) -> Message | None:
        """Take the next message that can be read; None after a silence.

        Raises:
            ConfigError: Kraken does not know a symbol.
            UnavailableError: it is under maintenance.
        """
        while True:
            data = await self._socket.receive(patience_s)
            if data is None:
                return None
            try:
                found = message(data)
            except InputError as error:
                metrics.PROVIDER_GARBAGE.labels(NAME).inc()
                await log.awarning("garbage", provider=NAME, error=str(error))
                continue
            if found.garbage:
                metrics.PROVIDER_GARBAGE.labels(NAME).inc(found.garbage)
                await log.awarning("garbage", provider=NAME, parts=found.garbage)
            _check(found)
            candles = newest_of_each(found.candles) if found.snapshot else found.candles
            self._early.extend(self._forming.take(candles, self._clock.now_ns()))
            return found


def _check(told: Message) -> None:
    """Raise what a message means, unless all is well."""
    if told.system == "maintenance":
        raise UnavailableError(f"{NAME}: under maintenance")
    answer = told.answer
    if answer is None or answer.success or answer.method != "subscribe":
        return
    if "not supported" in answer.error:
        raise ConfigError(f"symbols: {answer.symbol!r}: {NAME}: {answer.error}")
    raise UnavailableError(f"{NAME}: subscription of {answer.symbol or 'a symbol'}: {answer.error}")


def _check_answer(body: bytes) -> None:
    """Raise for errors that may pass: Kraken tells of them, too, with status 200.

    Raises:
        AwayError: too many requests, or a service that is away.
    """
    try:
        told = decoded(body)
    except InputError:
        return  # Whoever reads the answer says so.
    for error in errors_of(told) if isinstance(told, dict) else []:
        if not error.startswith(REFUSED):
            limited = "limit" in error.lower() or "Too many requests" in error
            raise AwayError(f"{NAME}: {PATH}: {error}", "rate" if limited else "server")


def _rows(origin: str, candles: Sequence[Candle]) -> Rows:
    return columns(
        origin, [c.symbol for c in candles], [c.start for c in candles], [c.values for c in candles]
    )
