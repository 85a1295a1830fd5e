"""Bare clients of the gateway, so that a benchmark measures it and not a client library."""

import asyncio
import base64
import os
import time

END = b"\r\n\r\n"
TEXT, PING, PONG, MASKED = 0x81, 0x89, 0x8A, 0x80
HEADER = 2
LENGTHS = {126: 2, 127: 8}
"""How many bytes of length follow these lengths."""


class Listener(asyncio.Protocol):
    """One WebSocket client: when the newest frame came."""

    def __init__(self) -> None:
        self.at = 0.0
        self.arrived = asyncio.Event()
        self.open = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    @classmethod
    async def connect(cls, port: int) -> "Listener":
        """Open a connection to /live."""
        loop = asyncio.get_running_loop()
        transport, listener = await loop.create_connection(cls, "127.0.0.1", port)
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        async with asyncio.timeout(10):
            await listener.open.wait()
        return listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is made."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """The handshake's answer, then frames."""
        now = time.perf_counter()
        self._rest += data
        if not self.open.is_set():
            head, found, rest = self._rest.partition(END)
            if not found:
                return
            assert b" 101 " in head, head
            self._rest = rest
            self.open.set()
        while (frame := self._frame()) is not None:
            opcode, payload = frame
            if opcode == TEXT:
                self.at = now
                self.arrived.set()
            elif opcode == PING:
                self._answer(payload)

    def _frame(self) -> tuple[int, bytes] | None:
        """The next whole frame: its first byte and its payload (RFC 6455, section 5.2; unmasked)."""
        data = self._rest
        if len(data) < HEADER:
            return None
        extra = LENGTHS.get(data[1], 0)
        start = HEADER + extra
        size = int.from_bytes(data[HEADER:start], "big") if extra else data[1]
        if len(data) < start + size:
            return None
        self._rest = data[start + size :]
        return data[0], data[start : start + size]

    def _answer(self, payload: bytes) -> None:
        """A pong; the server closes who does not send it. A mask of zeros leaves the payload as it is."""
        if self._transport is not None:
            self._transport.write(bytes([PONG, MASKED | len(payload)]) + bytes(4) + payload)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


async def load(port: int, target: str, connections: int, seconds: float) -> tuple[list[float], int]:
    """Requests one after another on each of some connections; milliseconds of each, and how many."""
    until = time.perf_counter() + seconds
    took: list[float] = []

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(END)).lower()
            assert head.startswith(b"http/1.1 200"), head
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
            took.append(1e3 * (time.perf_counter() - began))
        writer.close()

    await asyncio.gather(*(ask() for _ in range(connections)))
    return took, len(took)
