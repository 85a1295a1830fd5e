"""A provider's server on loopback: its stream and its REST interface on one port, with faults at will."""

import asyncio
from collections import deque
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


class Loopback:
    """What the servers share; each says what it answers and how it talks."""

    def __init__(self) -> None:
        self.faults: deque[tuple[int, dict[str, str], bytes]] = deque()
        """Answers of the next requests by REST, whatever they are."""
        self.slow_s = 0.0
        self.asked: list[str] = []
        self.keys: set[str] = set()
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

    async def drop(self) -> None:
        """End every connection without a word."""
        for socket in list(self.sockets):
            socket.transport.abort()
            await socket.wait_closed()

    async def talk(self, socket: ServerConnection) -> None:
        """Greet a client and answer it until it goes."""
        raise NotImplementedError

    def answer(self, path: str) -> Response:
        """What REST says."""
        raise NotImplementedError

    async def _stream(self, socket: ServerConnection) -> None:
        self.opened += 1
        self.sockets[socket] = set()
        try:
            await self.talk(socket)
        except ConnectionClosed:
            pass
        finally:
            del self.sockets[socket]

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
        return self.answer(request.path)


def answered(status: int, headers: dict[str, str], body: bytes) -> Response:
    """An answer of REST; the connection ends with it."""
    fields = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), **headers})
    fields["Connection"] = "close"
    return Response(status, HTTPStatus(status).phrase, fields, body)
