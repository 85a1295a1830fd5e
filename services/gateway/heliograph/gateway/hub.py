"""The hub of live events: each is encoded once, gathered for a moment, and offered to every client.

A client is given frames, never waited for: its queue is bounded, and when it is full the client is dropped.
"""

import asyncio
from collections import deque

import msgspec

from heliograph.common import metrics

EVERYTHING = None


FRAME_BYTES = 512 << 10
"""Half of what clients commonly take in one message."""


class Window:
    """What came for one filter since its last frame: the newest messages; older ones are counted."""

    def __init__(self, limit: int, limit_bytes: int = FRAME_BYTES) -> None:
        self._messages: deque[bytes] = deque()
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._skipped = 0

    def add(self, message: bytes) -> None:
        """Take one more; the oldest go where it is too much (the newest always stays)."""
        self._messages.append(message)
        self._bytes += len(message)
        while len(self._messages) > 1 and (
            len(self._messages) > self._limit or self._bytes > self._limit_bytes
        ):
            self._bytes -= len(self._messages.popleft())
            self._skipped += 1

    def take(self) -> tuple[bytes, int] | None:
        """All as one frame (a JSON array, oldest first) and the number skipped; None where nothing came."""
        if not self._messages:
            return None
        skipped, self._skipped = self._skipped, 0
        told = [b'{"type":"skipped","data":{"count":%d}}' % skipped] if skipped else []
        frame = b"[" + b",".join([*told, *self._messages]) + b"]"
        self._messages.clear()
        self._bytes = 0
        return frame, skipped


class Client:
    """One listener: the frames that wait for it, and whether it was too slow for them."""

    def __init__(self, symbol: str | None, limit: int) -> None:
        self.symbol = symbol
        self.dropped = asyncio.Event()
        self._limit = limit
        self._frames: deque[bytes] = deque()
        self._waiting = asyncio.Event()

    def offer(self, frame: bytes) -> None:
        """Queue a frame; a full queue drops the client and frees what it held."""
        if self.dropped.is_set():
            return
        if len(self._frames) >= self._limit:
            self._frames.clear()
            self.dropped.set()
            return
        self._frames.append(frame)
        self._waiting.set()

    async def next(self) -> bytes:
        """The next frame, in order."""
        while not self._frames:
            self._waiting.clear()
            await self._waiting.wait()
        return self._frames.popleft()


class Hub:
    """All listeners of one gateway."""

    def __init__(self, *, frames_per_s: float, frame_messages: int, queue_frames: int, clients: int) -> None:
        self._period_s = 1.0 / frames_per_s
        self._frame_messages = frame_messages
        self._queue_frames = queue_frames
        self._client_limit = clients
        self._clients: set[Client] = set()
        self._windows: dict[str | None, Window] = {}
        self._wake = asyncio.Event()
        self.events = 0
        self.dropped = 0

    @property
    def clients(self) -> int:
        """Clients connected now."""
        return len(self._clients)

    def join(self, symbol: str | None) -> Client | None:
        """A new listener of one symbol, or of everything; None when as many as are allowed are connected."""
        if len(self._clients) >= self._client_limit:
            return None
        client = Client(symbol, self._queue_frames)
        self._clients.add(client)
        self._windows.setdefault(symbol, Window(self._frame_messages))
        metrics.CLIENTS.set(len(self._clients))
        return client

    def leave(self, client: Client) -> None:
        """Forget a listener, and its filter when nobody else has it; a second time changes nothing."""
        self._clients.discard(client)
        if not any(c.symbol == client.symbol for c in self._clients):
            self._windows.pop(client.symbol, None)
        metrics.CLIENTS.set(len(self._clients))

    def publish(self, kind: str, symbol: str, data: bytes) -> None:
        """Take one event, as the JSON that it travelled as; costs nothing while nobody listens."""
        self.events += 1
        windows = [w for key in (EVERYTHING, symbol) if (w := self._windows.get(key)) is not None]
        if not windows:
            return
        message = b'{"type":%b,"data":%b}' % (msgspec.json.encode(kind), data)
        for window in windows:
            window.add(message)
        self._wake.set()

    async def run(self) -> None:
        """Send what was gathered, at most `frames_per_s` times a second, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self.flush()
            await asyncio.sleep(self._period_s)

    def flush(self) -> None:
        """One frame for each filter, made once and shared by its clients; those it was too much for go."""
        for symbol, window in self._windows.items():
            taken = window.take()
            if taken is None:
                continue
            frame, skipped = taken
            for client in self._clients:
                if client.symbol == symbol:
                    client.offer(frame)
                    metrics.FRAMES_SKIPPED.inc(skipped)
        for client in [c for c in self._clients if c.dropped.is_set()]:
            self.dropped += 1
            self.leave(client)
