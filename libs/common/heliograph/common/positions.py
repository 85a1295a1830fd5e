"""How far each durable consumer has acknowledged, kept once a second.

The server holds the consumers in memory: on disk it would write a file for each of them ten times a second,
which under load costs more than the messages. When the server has started again, a consumer begins after the
position kept here; what it had acknowledged since comes a second time.
"""

import asyncio

import msgspec
import structlog
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from heliograph.common.buckets import open_bucket
from heliograph.common.bus import Bus
from heliograph.common.errors import UnavailableError

BUCKET = "positions"
KEEP_EVERY_S = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Position(msgspec.Struct, frozen=True):
    """A stream sequence, and when the stream was made: the sequences of another stream mean nothing."""

    seq: int
    stream_created: str


def key_of(durable: str) -> str:
    """A consumer's key: its service is a token of its own, so that a user may write under that alone."""
    return durable.replace("-", ".", 1)


class Positions:
    """The positions of one process's consumers."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._changed: dict[str, Position] = {}
        self._bucket: KeyValue | None = None

    def note(self, durable: str, position: Position) -> None:
        """A consumer has acknowledged all up to a position."""
        self._changed[durable] = position

    async def load(self, durable: str, stream_created: str) -> int:
        """The sequence kept for a consumer; 0 when there is none for a stream made at that time.

        Raises:
            UnavailableError: the server does not answer.
        """
        try:
            entry = await (await self._kv()).get(key_of(durable))
        except KeyNotFoundError:
            return 0
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"position of {durable}: {error!r}") from error
        kept = msgspec.json.decode(entry.value or b"", type=Position)
        return kept.seq if kept.stream_created == stream_created else 0

    async def keep(self) -> None:
        """Store what has changed; what cannot be stored now is tried again the next time."""
        changed, self._changed = self._changed, {}
        try:
            bucket = await self._kv()
            await asyncio.gather(
                *(bucket.put(key_of(name), msgspec.json.encode(p)) for name, p in changed.items())
            )
        except (TimeoutError, NatsError, OSError) as error:
            self._changed = changed | self._changed
            await log.awarning("positions not kept", error=repr(error))

    async def run(self) -> None:
        """Keep what changes until cancelled."""
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            if self._changed:
                await self.keep()

    async def _kv(self) -> KeyValue:
        if self._bucket is None:
            self._bucket = await open_bucket(self._bus, BUCKET)
        return self._bucket
