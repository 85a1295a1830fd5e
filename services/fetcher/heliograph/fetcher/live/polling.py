"""The provider Massive without its stream: snapshots of many symbols in one call, and history by REST."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from urllib.parse import urlencode

from msgspec.structs import replace

from heliograph.common import metrics
from heliograph.common.clock import NANOSECONDS, Clock
from heliograph.common.errors import InputError, UnavailableError
from heliograph.fetcher.live.adaptive import Pace
from heliograph.fetcher.live.closing import Closing
from heliograph.fetcher.live.market import Market, always_open
from heliograph.fetcher.live.massive import MassiveProvider
from heliograph.fetcher.live.poller import Poller
from heliograph.fetcher.live.rounds import Rounds, Rules
from heliograph.fetcher.live.snapshot import PATHS, Minute, read, rows_of
from heliograph.fetcher.provider import Rows
from heliograph.fetcher.settings import FetcherSettings

NAME = "massive-polling"
STOCK = ""
"""Not a pair: whatever is none has the hours of New York."""


def ticker_of(symbol: str) -> str:
    """As Massive writes a symbol: `X:BTCUSD` for `BTC/USD`."""
    return f"X:{symbol.replace('/', '')}" if "/" in symbol else symbol


def rules_of(settings: FetcherSettings) -> Rules:
    """The rules of polling, as they are set."""
    return Rules(
        high=frozenset(settings.poll_high),
        medium=frozenset(settings.poll_medium),
        busiest=settings.poll_busiest,
        pace=Pace(
            intervals=(settings.poll_high_s, settings.poll_medium_s, settings.poll_low_s),
            off_hours=settings.poll_off_hours,
            volatile=settings.poll_volatile,
            calm=settings.poll_calm,
        ),
        correlation=settings.poll_correlation,
        call_symbols=settings.poll_call_symbols,
    )


class PollingProvider(MassiveProvider):
    """Minute bars without a connection that stays: for plans and networks that have none.

    It shares keys, rate, retries and history with its base, and never opens the stream.
    """

    name = NAME

    def __init__(
        self,
        settings: FetcherSettings,
        clock: Clock,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(settings, clock)
        self._clock = clock
        self._pause = pause
        self._rules = rules_of(settings)
        self._settle_ns = round(settings.poll_settle_s * NANOSECONDS)
        self._market: Market | None = None
        self._symbols: list[str] = []
        self._rounds = Rounds([], self._rules)
        self._closing: Closing | None = None

    async def history(self, symbols: Sequence[str], since_ns: int, until_ns: int) -> AsyncGenerator[Rows]:
        """See `LiveProvider.history`; what comes also tells how often to poll."""
        names = {ticker_of(symbol): symbol for symbol in symbols}
        past = super().history(list(names), since_ns, until_ns)
        async with aclosing(past):
            async for told in past:
                rows = replace(told, symbols=[names[ticker] for ticker in told.symbols])
                self._rounds.take(rows, until_ns)
                yield rows

    async def look(self, symbols: Sequence[str]) -> dict[str, Minute]:
        """The newest minutes of some symbols of one market, by one call.

        Raises:
            ConfigError: the key is refused.
            UnavailableError: no answer, or none that can be read.
        """
        path = PATHS["crypto" if always_open(symbols[0]) else "stocks"]
        names = {ticker_of(symbol): symbol for symbol in symbols}
        body = await self._rest.get(path, urlencode({"tickers": ",".join(names)}))
        if body is None:
            raise UnavailableError(f"{NAME}: {path}: refused for {len(symbols)} symbols from {symbols[0]} on")
        try:
            return {names[ticker]: minute for ticker, minute in read(body, names).items()}
        except InputError as error:
            metrics.PROVIDER_GARBAGE.labels(NAME).inc()
            raise UnavailableError(f"{NAME}: {path}: {error}") from None

    async def stream(self, symbols: Sequence[str]) -> AsyncGenerator[Rows]:
        """Minute bars as polling finds them closed; see `LiveProvider.stream`."""
        if self._market is None:
            self._market = await asyncio.to_thread(Market)
        if list(symbols) != self._symbols:
            self._symbols, self._rounds = list(symbols), Rounds(symbols, self._rules)
        self._closing = Closing(symbols, self._clock.now_ns(), self._settle_ns, self._closing)
        market = self._market
        poller = Poller(
            self,
            self._rounds,
            self._closing,
            lambda now_ns: market.open_since(STOCK, now_ns) is not None,
            self._clock,
            self._pause,
        )
        yield rows_of("snapshot", [])
        try:
            async with aclosing(poller.batches()) as batches:
                async for rows in batches:
                    yield rows
        except UnavailableError:
            # Who reads the stream fills in by history what comes until the next one.
            self._closing = None
            raise
