"""A server on loopback that speaks as Massive does, with faults at will: the stream and REST on one port."""

import json
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.loopback import Loopback, answered
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

KEY = "good key"
MINUTE_MS = 60_000
AGGS = re.compile(r"^/v2/aggs/ticker/([^/]+)/range/1/minute/(\d+)/(\d+)$")


def bar(start_ms: int, price: float = 100.0) -> dict[str, Any]:
    """A good bar as REST tells it, with fields that nobody needs."""
    return {
        "t": start_ms,
        "o": price,
        "h": price + 2,
        "l": price - 1,
        "c": price + 1,
        "v": 500,
        "n": 7,
        "vw": price,
    }


def event(symbol: str, start_ms: int, price: float = 100.0) -> dict[str, Any]:
    """The same bar as the stream tells it."""
    told = bar(start_ms, price)
    times = {"s": start_ms, "e": start_ms + MINUTE_MS}
    return {"ev": "AM", "sym": symbol, **{name: told[name] for name in "ohlcv"}, **times, "av": 1, "z": 3}


class MassiveServer(Loopback):
    """Its bars are all there is of the past; `send` and `drop` move the stream."""

    def __init__(self) -> None:
        super().__init__()
        self.bars: dict[str, dict[int, dict[str, Any]]] = {}
        self.page = 50_000
        self.auth: dict[str, str] | None = None
        """What is said to a key; by itself whether it is the good one."""
        self.greeting: list[str] = []
        """Sent after each subscription."""

    def happened(self, symbol: str, start_ms: int, price: float = 100.0) -> dict[str, Any]:
        """A bar that REST tells from now on; as an event of the stream."""
        self.bars.setdefault(symbol, {})[start_ms] = bar(start_ms, price)
        return event(symbol, start_ms, price)

    async def send(self, *events: Any) -> None:
        """One message with the events that each client has subscribed to; a text as it is."""
        for socket, channels in list(self.sockets.items()):
            for text in (e for e in events if isinstance(e, str | bytes)):
                await socket.send(text)
            told = [e for e in events if not isinstance(e, str | bytes)]
            told = [
                e
                for e in told
                if not isinstance(e, dict) or f"AM.{e.get('sym')}" in channels or "sym" not in e
            ]
            if told:
                await socket.send(json.dumps(told))

    async def talk(self, socket: ServerConnection) -> None:
        await socket.send('[{"ev":"status","status":"connected","message":"Connected Successfully"}]')
        async for text in socket:
            await self._told(socket, json.loads(text))

    async def _told(self, socket: ServerConnection, message: dict[str, str]) -> None:
        action, params = message["action"], message["params"]
        if action == "auth":
            good = {"status": "auth_success", "message": "authenticated"}
            bad = {"status": "auth_failed", "message": "authentication failed"}
            answer = self.auth or (good if params == KEY else bad)
            await socket.send(json.dumps([{"ev": "status", **answer}]))
            return
        for channel in params.split(","):
            if action == "subscribe":
                self.sockets[socket].add(channel)
                told = {"ev": "status", "status": "success", "message": f"subscribed to: {channel}"}
                await socket.send(json.dumps([told]))
            else:
                self.sockets[socket].discard(channel)
        for text in self.greeting:
            await socket.send(text)

    def answer(self, path: str) -> Response:
        where = urlsplit(path)
        found = AGGS.match(where.path)
        if found is None:
            return answered(404, {}, b"{}")
        symbol, first, last = unquote(found[1]), int(found[2]), int(found[3])
        cursor = int(parse_qs(where.query).get("cursor", ["0"])[0])
        bars = [b for t, b in sorted(self.bars.get(symbol, {}).items()) if max(first, cursor) <= t <= last]
        answer: dict[str, Any] = {"status": "OK", "ticker": symbol, "results": bars[: self.page], "count": 1}
        if len(bars) > self.page:
            # The real one names its own host here, whatever the address was that one asked.
            answer["next_url"] = f"https://api.example.com{where.path}?cursor={bars[self.page]['t']}"
        return answered(200, {}, json.dumps(answer).encode())
