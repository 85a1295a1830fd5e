"""A server on loopback that speaks as Kraken's documents say: WebSocket v2 and `/0/public/OHLC`."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import Loopback, answered
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

MINUTE_S = 60
MOST = 720
"""Candles in an answer of REST."""
RENAMED = {"XBTUSD": "BTC/USD", "XBTEUR": "BTC/EUR", "ETHUSD": "ETH/USD", "XDGUSD": "DOGE/USD"}
Bar = tuple[float, float, float, float, float]


def bar(price: float = 100.0) -> Bar:
    """Good values."""
    return (price, price + 2, price - 1, price + 1, 5.5)


def candle(symbol: str, start_s: int, values: Bar, trades: int = 7) -> dict[str, Any]:
    """As the stream tells it, with fields that nobody needs."""
    begin = datetime.fromtimestamp(start_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
    named = dict(zip(("open", "high", "low", "close", "volume"), values, strict=True))
    return {
        "symbol": symbol,
        **named,
        "trades": trades,
        "vwap": values[0],
        "interval_begin": begin,
        "interval": 1,
        "timestamp": begin,
    }


def update(*candles: Any, kind: str = "update") -> str:
    """A message of the channel."""
    return json.dumps({"channel": "ohlc", "type": kind, "timestamp": "…", "data": list(candles)})


class KrakenServer(Loopback):
    """Its bars are all there is of the past; what is beside `running` changes no more."""

    def __init__(self) -> None:
        super().__init__()
        self.bars: dict[str, dict[int, Bar]] = {}
        self.silent: dict[str, set[int]] = {}
        """Minutes without trades: REST tells of them with 0 trades, the stream does not."""
        self.running: dict[str, dict[str, Any]] = {}
        """The candle that each pair's snapshot and REST's last entry show."""
        self.unknown: set[str] = set()
        self.system = "online"

    def happened(self, symbol: str, start_s: int, values: Bar) -> str:
        """A minute that REST tells from now on; as a message of the stream."""
        self.bars.setdefault(symbol, {})[start_s] = values
        return update(candle(symbol, start_s, values))

    async def send(self, *messages: str | bytes) -> None:
        """To every client, what it has subscribed to or not."""
        for socket in list(self.sockets):
            for text in messages:
                await socket.send(text)

    async def talk(self, socket: ServerConnection) -> None:
        status = {"system": self.system, "api_version": "v2", "connection_id": 1, "version": "2.0.0"}
        await socket.send(json.dumps({"channel": "status", "type": "update", "data": [status]}))
        beats = asyncio.create_task(_beat(socket))
        try:
            async for text in socket:
                told = json.loads(text)
                for symbol in told["params"]["symbol"]:
                    await self._told(socket, told["method"], symbol)
        finally:
            beats.cancel()
            await asyncio.gather(beats, return_exceptions=True)

    async def _told(self, socket: ServerConnection, method: str, symbol: str) -> None:
        if symbol in self.unknown:
            told = {
                "method": method,
                "success": False,
                "error": f"Currency pair not supported {symbol}",
                "symbol": symbol,
            }
            await socket.send(json.dumps(told))
            return
        result = {"channel": "ohlc", "interval": 1, "snapshot": True, "symbol": symbol}
        await socket.send(json.dumps({"method": method, "result": result, "success": True}))
        if method == "unsubscribe":
            self.sockets[socket].discard(symbol)
            return
        self.sockets[socket].add(symbol)
        past = [candle(symbol, *b) for b in sorted(self.bars.get(symbol, {}).items())[-5:]]
        now = [self.running[symbol]] if symbol in self.running else []
        if past or now:
            await socket.send(update(*past, *now, kind="snapshot"))

    def answer(self, path: str) -> Response:
        where = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(where.query).items()}
        symbol = RENAMED.get(query.get("pair", ""), "")
        if where.path != "/0/public/OHLC" or query.get("interval") != "1":
            return answered(404, {}, b"{}")
        if not symbol or symbol in self.unknown:
            return answered(200, {}, b'{"error":["EQuery:Unknown asset pair"]}')
        bars: dict[int, tuple[Bar, int]] = {t: (b, 7) for t, b in self.bars.get(symbol, {}).items()}
        for start in self.silent.get(symbol, ()):
            bars[start] = ((1.0, 1.0, 1.0, 1.0, 0.0), 0)
        entries = [_entry(t, *b) for t, b in sorted(bars.items())][-MOST:]
        last = entries[-1][0] if entries else 0
        entries = [e for e in entries if e[0] > int(query.get("since", "0"))]
        # The running candle comes whatever the question was, and may change until its minute ends.
        entries.append(_entry(last + MINUTE_S, (9.0, 9.0, 9.0, 9.0, 9.0), 1))
        return answered(
            200, {}, json.dumps({"error": [], "result": {"XXBTZUSD": entries, "last": last}}).encode()
        )


async def _beat(socket: ServerConnection) -> None:
    while True:
        await asyncio.sleep(1.0)
        await socket.send('{"channel":"heartbeat"}')


def _entry(start_s: int, values: Bar, trades: int) -> list[Any]:
    opened, high, low, close, volume = map(repr, values)
    return [start_s, opened, high, low, close, opened, volume, trades]
