"""The WebSocket /live: what is published as it comes, from core NATS to every client."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException, WebSocketDisconnect
from litestar.params import QueryParameter
from litestar.types import Message
from nats.aio.msg import Msg
from structlog import get_logger
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from heliograph.common.bus import Bus
from heliograph.common.errors import InputError
from heliograph.common.events import AgentProgress, Alert, Outcome, Reason, Signal, Verdict, encode
from heliograph.common.subjects import check_symbol
from heliograph.gateway import parameters
from heliograph.gateway.access import PROTOCOL, Access
from heliograph.gateway.hub import DEFAULT_KINDS, KINDS, Client, Filter, Hub
from heliograph.gateway.records import Refusal

TRY_LATER = 1013
POLICY = 1008
CLOSE_REASON_LIMIT = 100
"""Characters of a close reason; the protocol allows 123 bytes."""
LINGER_S = 5.0
"""How long a dropped client has to take its close frame."""
PENDING_MESSAGES = 65_536
PENDING_BYTES = 64 << 20

AnySocket = WebSocket[Any, Any, Any]
Kinds = Annotated[
    str | None,
    QueryParameter(description=f"of {', '.join(KINDS)}, joined by commas; the first three without it"),
]
OptionalRun = Annotated[
    str | None, QueryParameter(description="of a run's progress and verdicts, this one's")
]

log = get_logger(__name__)


class LiveProtocol(WebSocketsSansIOProtocol):
    """Cuts a connection whose client does not even take the close: it would hold its buffers for hours."""

    async def run_asgi(self) -> None:
        """Run the handler, then give the client a moment."""
        await super().run_asgi()
        self.loop.call_later(LINGER_S, self.transport.abort)


async def subscribe(bus: Bus, hub: Hub) -> None:
    """Bring everything that clients may want, and that is published from now on, to the hub.

    Raises:
        UnavailableError: the server does not answer.
    """

    def tell_of_signal(event: Signal, data: bytes) -> None:
        hub.announced.add(event.id)
        hub.publish("signal", event.symbol, data)

    listened: tuple[tuple[str, Any, Callable[[Any, bytes], None]], ...] = (
        ("signal", Signal, tell_of_signal),
        ("reason", Reason, lambda event, data: hub.publish("reason", event.symbol, data)),
        ("outcome", Outcome, lambda event, data: hub.publish("outcome", event.symbol, data)),
        ("analysis", AgentProgress | Verdict, lambda event, data: tell_of_run(hub, event, data)),
        ("alert", Alert, lambda _, data: hub.publish("alert", "", data)),
    )
    for subject, kind, tell in listened:
        await bus.client.subscribe(
            f"{subject}.>",
            cb=_taking(msgspec.json.Decoder(kind), tell),
            pending_msgs_limit=PENDING_MESSAGES,
            pending_bytes_limit=PENDING_BYTES,
        )
    await bus.settled()


def _taking(
    decoder: msgspec.json.Decoder[Any], tell: Callable[[Any, bytes], None]
) -> Callable[[Msg], Awaitable[None]]:
    async def take(message: Msg) -> None:
        try:
            event = decoder.decode(message.data)
        except (msgspec.MsgspecError, ValueError) as error:
            await log.awarning("not an event", subject=message.subject, error=str(error))
            return
        tell(event, message.data)

    return take


def tell_of_run(hub: Hub, event: AgentProgress | Verdict, data: bytes) -> None:
    """Publish a step of a panel run; of a verdict without questions, answers and figures, which are long."""
    if isinstance(event, Verdict):
        if isinstance(event.predictions, list):
            short = [msgspec.structs.replace(p, facts="{}", prompt="", answer="") for p in event.predictions]
            data = encode(msgspec.structs.replace(event, predictions=short))
        hub.publish("verdict", event.ticker, data, event.run)
    else:
        hub.publish("agent_progress", event.ticker, data, event.run)


def wish(symbol: str | None, kinds: str | None, run: str | None) -> Filter:
    """What a client wants.

    Raises:
        InputError: a parameter is wrong.
    """
    if symbol is not None:
        check_symbol(symbol)
    if run is not None and not parameters.RUN.fullmatch(run):
        raise InputError(f"run: {run!r}, expected 1 to 40 letters and digits")
    wanted = DEFAULT_KINDS if kinds is None else frozenset(kind.strip() for kind in kinds.split(","))
    unknown = wanted.difference(KINDS)
    if unknown:
        raise InputError(f"kinds: {min(unknown)!r}, expected some of {', '.join(KINDS)}")
    return Filter(kinds=wanted, symbol=symbol, run=run)


async def deny(socket: AnySocket, error: HTTPException) -> None:
    """Refuse the handshake as any other request is refused: a status and a sentence."""
    body = msgspec.json.encode(Refusal(error=error.detail))
    told = {"content-type": "application/json", "content-length": str(len(body)), **(error.headers or {})}
    start: Message = {
        "type": "websocket.http.response.start",
        "status": error.status_code,
        "headers": [(name.lower().encode(), value.encode()) for name, value in told.items()],
    }
    await socket.send(start)
    await socket.send({"type": "websocket.http.response.body", "body": body, "more_body": False})


@websocket(["/live", "/api/live"])
async def live(
    socket: AnySocket,
    hub: NamedDependency[Hub],
    symbol: parameters.OptionalSymbol = None,
    kinds: Kinds = None,
    run: OptionalRun = None,
) -> None:
    """Frames are JSON arrays of `{"type": <one of the kinds> | "skipped", "data": {…}}`."""
    access: Access = socket.app.state.access
    try:
        await access.admit(socket, "read")
    except HTTPException as error:
        await deny(socket, error)
        return
    offered = {name.strip() for name in socket.headers.get("sec-websocket-protocol", "").split(",")}
    await socket.accept(subprotocols=PROTOCOL if PROTOCOL in offered else None)
    try:
        wanted = wish(symbol, kinds, run)
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
            await socket.send({"type": "websocket.send", "text": await client.next(), "bytes": None})

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
