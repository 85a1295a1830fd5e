"""The WebSocket /live: signals, reasons and outcomes as they come, from core NATS to every client."""

import asyncio
import contextlib
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.params import QueryParameter
from nats.aio.msg import Msg
from structlog import get_logger
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from heliograph.common.bus import Bus
from heliograph.common.errors import InputError
from heliograph.common.events import Outcome, Reason, Signal
from heliograph.common.subjects import check_symbol
from heliograph.gateway.hub import Client, Hub

TRY_LATER = 1013
POLICY = 1008
CLOSE_REASON_LIMIT = 100
"""Characters of a close reason; the protocol allows 123 bytes."""
LINGER_S = 5.0
"""How long a dropped client has to take its close frame."""
PENDING_MESSAGES = 65_536
PENDING_BYTES = 64 << 20

AnySocket = WebSocket[Any, Any, Any]
OptionalSymbol = Annotated[str | None, QueryParameter(description="one symbol only, e.g. `BRK.B`")]

log = get_logger(__name__)


class LiveProtocol(WebSocketsSansIOProtocol):
    """Cuts a connection whose client does not even take the close: it would hold its buffers for hours."""

    async def run_asgi(self) -> None:
        """Run the handler, then give the client a moment."""
        await super().run_asgi()
        self.loop.call_later(LINGER_S, self.transport.abort)


async def subscribe(bus: Bus, hub: Hub) -> None:
    """Bring every signal, reason and outcome that is published from now on to the hub."""

    def listen(kind: str, event: type[Signal | Reason | Outcome]) -> Any:
        decoder = msgspec.json.Decoder(event)

        async def take(message: Msg) -> None:
            try:
                symbol = decoder.decode(message.data).symbol
            except msgspec.MsgspecError as error:
                await log.awarning("not an event", subject=message.subject, error=str(error))
                return
            hub.publish(kind, symbol, message.data)

        return take

    for kind, event in (("signal", Signal), ("reason", Reason), ("outcome", Outcome)):
        await bus.client.subscribe(
            f"{kind}.>",
            cb=listen(kind, event),
            pending_msgs_limit=PENDING_MESSAGES,
            pending_bytes_limit=PENDING_BYTES,
        )


def same_origin(socket: AnySocket) -> bool:
    """Whether the page that opened the socket is this gateway's own; programs send no Origin at all."""
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


@websocket("/live")
async def live(socket: AnySocket, hub: NamedDependency[Hub], symbol: OptionalSymbol = None) -> None:
    """Frames are JSON arrays of `{"type": "signal" | "reason" | "outcome" | "skipped", "data": {…}}`."""
    if not same_origin(socket):
        await socket.close(POLICY, "expected a page of this gateway")
        return
    await socket.accept()
    try:
        wanted = None if symbol is None else check_symbol(symbol)
    except InputError as error:
        await socket.close(POLICY, str(error)[:CLOSE_REASON_LIMIT])
        return
    client = hub.join(wanted)
    if client is None:
        await socket.close(TRY_LATER, "as many clients as are allowed are connected; try later")
        return
    try:
        await serve(socket, client)
    finally:
        hub.leave(client)


async def serve(socket: AnySocket, client: Client) -> None:
    """Send until the client goes or is dropped."""

    async def send() -> None:
        while True:
            await socket.send_data(await client.next(), mode="text")

    async def receive() -> None:
        while True:
            await socket.receive()

    tasks = [asyncio.create_task(work) for work in (send(), receive(), client.dropped.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if client.dropped.is_set():
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(LINGER_S):
                await socket.close(TRY_LATER, "too slow: reconnect and read /api/signals")
