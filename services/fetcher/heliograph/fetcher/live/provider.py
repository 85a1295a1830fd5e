"""What a provider of live bars is to the fetcher. Its bars pass the same quality gate as stored ones."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from heliograph.common.clock import Clock
from heliograph.fetcher.provider import Rows
from heliograph.fetcher.settings import FetcherSettings


class LiveProvider(Protocol):
    """A provider of bars that come as they happen. One object lives as long as the process.

    It gives bars by columns as it got them and judges nothing: a value of a wrong type is NaN, a time that
    cannot be told is `NO_TIME`. `ts` is the start of the bar. The runner reads one stream at a time, tries
    again after an `UnavailableError` (with pauses that grow), fills gaps, drops duplicates and tells the
    health of the provider.
    """

    @property
    def name(self) -> str:
        """The `source` of its bars, e.g. `massive`."""
        ...

    @property
    def interval(self) -> str:
        """That of every bar, a name of `intervals.INTERVALS_NS`, e.g. `1m`."""
        ...

    def history(self, symbols: Sequence[str], since_ns: int, until_ns: int) -> AsyncIterator[Rows]:
        """Closed bars with `since_ns` ≤ start < `until_ns`, the oldest of each symbol first.

        An async generator. One batch may be one page of one symbol, and batches of several symbols may come
        in any order. A symbol that the provider does not know, or that did not trade, has no rows.

        Raises:
            ConfigError: the provider refuses the key, or what is asked for: asking again would not help.
            UnavailableError: it cannot answer now, after whatever retries the provider makes itself.
        """
        ...

    def stream(self, symbols: Sequence[str]) -> AsyncIterator[Rows]:
        """Closed bars as they come, for ever; bars may be late, come twice or out of order.

        An async generator; it is closed, and another is asked for, when the symbols change: of the symbols
        that stay nothing may be missed between the two. The first batch
        has no rows and is given as soon as the subscription stands: every bar that closes after it comes by
        the stream, every one before by `history`. (Who polls gives it at once.) More batches without rows
        are signs of life.

        Raises:
            ConfigError: the provider refuses the key or the subscription: the process stops with the message.
            UnavailableError: the connection is lost, or cannot be made.
        """
        ...

    async def close(self) -> None:
        """End connections; nothing is asked for afterwards."""
        ...


Factory = Callable[[FetcherSettings, Clock], LiveProvider]
"""Makes a provider; a `ConfigError` names the setting that is missing or wrong."""
