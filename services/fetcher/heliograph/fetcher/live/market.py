"""When the market of a symbol is open: the hours of the New York Stock Exchange; always for currencies."""

import re
import warnings

import numpy as np

EXCHANGE = "XNYS"
STALE_INTERVALS = 2
_PAIR = re.compile(r"^[A-Z]:|/|.{3}(USD|USDT|USDC|EUR)$")


class Market:
    """The sessions of stocks, by `exchange_calendars`: holidays and early closes included."""

    def __init__(self) -> None:
        from exchange_calendars import get_calendar  # noqa: PLC0415 - heavy, and a replay needs none of it

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of pandas about the library's own use of it.
            calendar = get_calendar(EXCHANGE)
        self._opens = np.array(calendar.opens_nanos)
        self._closes = np.array(calendar.closes_nanos)

    def open_since(self, symbol: str, now_ns: int) -> int | None:
        """Since when the market of a symbol has been open, UTC nanoseconds; None while it is closed."""
        if always_open(symbol):
            return 0
        session = int(np.searchsorted(self._closes, now_ns, side="right"))
        if session == len(self._opens) or self._opens[session] > now_ns:
            return None
        return int(self._opens[session])

    def is_stale(self, symbol: str, newest: int | None, length_ns: int, now_ns: int) -> bool:
        """Whether the newest bar is older than two intervals, of which the market was open all the time.

        Args:
            newest: the start of the bar; None where there is none.
            length_ns: of the interval.
        """
        since = self.open_since(symbol, now_ns)
        if since is None:
            return False
        close = since if newest is None else max(since, newest + length_ns)
        return now_ns - close > STALE_INTERVALS * length_ns


def always_open(symbol: str) -> bool:
    """Whether a symbol is a pair of currencies, as `BTC/USD`, `X:BTCUSD` or `BTCUSD`."""
    return bool(_PAIR.search(symbol))
