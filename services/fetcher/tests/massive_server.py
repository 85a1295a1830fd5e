"""A server on loopback that speaks as Massive does, with faults at will: the stream and REST on one port."""

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

KEY = "good key"
MINUTE_MS = 60_000
AGGS = re.compile(r"^/v2/aggs/ticker/([^/]+)/range/1/minute/(\d+)/(\d+)$")
Answer = Callable[[], tuple[int, dict[str, str], bytes]]


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


class MassiveServer:
    """Its bars are all there is of the past; `send` and `drop` move the stream."""

    def __init__(self) -> None:
        self.bars: dict[str, dict[int, dict[str, Any]]] = {}
        self.page = 50_000
        self.faults: deque[tuple[int, dict[str, str], bytes]] = deque()
        """Answers of the next requests by REST, whatever they are."""
        self.slow_s = 0.0
        self.asked: list[str] = []
        self.keys: set[str] = set()
        self.auth: dict[str, str] | None = None
        """What is said to a key; by itself whether it is the good one."""
        self.greeting: list[str] = []
        """Sent after each subscription."""
        self.away = False
        self.sockets: dict[ServerConnection, set[str]] = {}
        self.opened = 0
        self._server: Server | None = None

    async def start(self) -> None:
        self._server = await serve(self._stream, "127.0.0.1", 0, process_request=self._request)

    @property
    def host(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    @property
    def subscribed(self) -> set[str]:
        return set().union(*self.sockets.values())

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

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

    async def drop(self) -> None:
        """End every connection without a word."""
        for socket in list(self.sockets):
            socket.transport.abort()
            await socket.wait_closed()

    async def _stream(self, socket: ServerConnection) -> None:
        self.opened += 1
        self.sockets[socket] = set()
        try:
            await socket.send('[{"ev":"status","status":"connected","message":"Connected Successfully"}]')
            async for text in socket:
                await self._told(socket, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            del self.sockets[socket]

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

    async def _request(self, _: ServerConnection, request: Request) -> Response | None:
        if self.away:
            return answered(HTTPStatus.SERVICE_UNAVAILABLE, {}, b"")
        if "Upgrade" in request.headers:
            return None
        self.asked.append(request.path)
        self.keys.add(request.headers.get("Authorization", ""))
        await asyncio.sleep(self.slow_s)
        if self.faults:
            return answered(*self.faults.popleft())
        return self._aggs(request.path)

    def _aggs(self, path: str) -> Response:
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


def answered(status: int, headers: dict[str, str], body: bytes) -> Response:
    """An answer of REST; the connection ends with it."""
    fields = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), **headers})
    fields["Connection"] = "close"
    return Response(status, HTTPStatus(status).phrase, fields, body)
