"""The hub of live events: each is encoded once, gathered for a moment, and offered to every client.

A client is given frames, never waited for: its queue is bounded, and when it is full the client is dropped.
Clients that want the same share one window and its frames; an event costs by the windows that it fits.
"""

import asyncio
from collections import deque

import msgspec

from heliograph.common import metrics
from heliograph.gateway.announced import Announced

KINDS = ("signal", "reason", "outcome", "alert", "agent_progress", "verdict")
DEFAULT_KINDS = frozenset(KINDS[:3])
ALERT = "alert"
OF_RUNS = frozenset(("agent_progress", "verdict"))
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


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a listener wants; alerts are of no symbol, and progress and verdicts alone are of a run."""

    kinds: frozenset[str] = DEFAULT_KINDS
    symbol: str | None = None
    run: str | None = None

    def fits(self, kind: str, symbol: str, run: str) -> bool:
        """Whether an event is wanted."""
        if kind not in self.kinds:
            return False
        if self.symbol is not None and kind != ALERT and symbol != self.symbol:
            return False
        return self.run is None or kind not in OF_RUNS or run == self.run


class Client:
    """One listener: the frames that wait for it, and whether it was too slow for them."""

    def __init__(self, wanted: Filter, limit: int) -> None:
        self.wanted = wanted
        self.dropped = asyncio.Event()
        self._limit = limit
        self._frames: deque[str] = deque()
        self._waiting = asyncio.Event()

    def offer(self, frame: str) -> None:
        """Queue a frame; a full queue drops the client and frees what it held."""
        if self.dropped.is_set():
            return
        if len(self._frames) >= self._limit:
            self._frames.clear()
            self.dropped.set()
            return
        self._frames.append(frame)
        self._waiting.set()

    async def next(self) -> str:
        """The next frame, in order."""
        while not self._frames:
            self._waiting.clear()
            await self._waiting.wait()
        return self._frames.popleft()


class Group:
    """The listeners that want the same, and what came for them since their last frame."""

    def __init__(self, limit: int) -> None:
        self.window = Window(limit)
        self.clients: set[Client] = set()


class Hub:
    """All listeners of one gateway."""

    def __init__(self, *, frames_per_s: float, frame_messages: int, queue_frames: int, clients: int) -> None:
        self._period_s = 1.0 / frames_per_s
        self._frame_messages = frame_messages
        self._queue_frames = queue_frames
        self._client_limit = clients
        self._groups: dict[str | None, dict[Filter, Group]] = {}
        """By the symbol that they want, so that an event of another one does not meet them."""
        self._wake = asyncio.Event()
        self.announced = Announced()
        self.clients = 0
        """Connected now."""
        self.events = 0
        self.dropped = 0

    def join(self, wanted: Filter) -> Client | None:
        """A new listener; None when as many as are allowed are connected."""
        if self.clients >= self._client_limit:
            return None
        client = Client(wanted, self._queue_frames)
        groups = self._groups.setdefault(wanted.symbol, {})
        group = groups.get(wanted)
        if group is None:
            group = groups[wanted] = Group(self._frame_messages)
        group.clients.add(client)
        self.clients += 1
        metrics.CLIENTS.set(self.clients)
        return client

    def leave(self, client: Client) -> None:
        """Forget a listener, and its window when nobody else has it; a second time changes nothing."""
        groups = self._groups.get(client.wanted.symbol, {})
        group = groups.get(client.wanted)
        if group is None or client not in group.clients:
            return
        group.clients.remove(client)
        self.clients -= 1
        if not group.clients:
            del groups[client.wanted]
        if not groups:
            del self._groups[client.wanted.symbol]
        metrics.CLIENTS.set(self.clients)

    def publish(self, kind: str, symbol: str, data: bytes, run: str = "") -> None:
        """Take one event, as the JSON that it travelled as; costs nothing while nobody wants it."""
        self.events += 1
        near = self._groups.values() if kind == ALERT else map(self._wanting, {None, symbol})
        fitting = [g for groups in near for wanted, g in groups.items() if wanted.fits(kind, symbol, run)]
        if not fitting:
            return
        message = b'{"type":%b,"data":%b}' % (msgspec.json.encode(kind), data)
        for group in fitting:
            group.window.add(message)
        self._wake.set()

    def _wanting(self, symbol: str | None) -> dict[Filter, Group]:
        return self._groups.get(symbol, {})

    async def run(self) -> None:
        """Send what was gathered, at most `frames_per_s` times a second, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self.flush()
            await asyncio.sleep(self._period_s)

    def flush(self) -> None:
        """One frame for each window, made once and shared by its clients; those it was too much for go."""
        slow: list[Client] = []
        for groups in self._groups.values():
            for group in groups.values():
                taken = group.window.take()
                if taken is None:
                    continue
                frame, skipped = taken
                text = frame.decode()
                for client in group.clients:
                    client.offer(text)
                    if client.dropped.is_set():
                        slow.append(client)
                metrics.FRAMES_SKIPPED.inc(skipped * len(group.clients))
        for client in slow:
            self.dropped += 1
            self.leave(client)
