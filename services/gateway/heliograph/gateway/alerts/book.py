"""What the watch knows, in one key of a bucket: the alerts under way, and events that wait for publication.

It is written by compare-and-set before anything is published, so that of two replicas only one tells a
change, and a change that was written is told whatever happens to the replica.
"""

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue

from heliograph.common.buckets import open_bucket
from heliograph.common.bus import Bus
from heliograph.common.errors import FencedError, UnavailableError
from heliograph.common.events import Alert
from heliograph.gateway.alerts.states import Instance

BUCKET = "alerts"
KEY = "watch"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts under way by key, and what is not yet known to be published, in order."""

    instances: dict[str, Instance] = {}
    outbox: list[Alert] = []


_decoder = msgspec.json.Decoder(Page)


class Book:
    """The page as this process read or wrote it last."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._bucket: KeyValue | None = None
        self._revision = 0

    async def read(self) -> Page:
        """The page.

        Raises:
            UnavailableError: the server does not answer.
        """
        try:
            entry = await (await self._open()).get(KEY)
        except NotFoundError:
            self._revision = 0
            return Page()
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"alerts: not read: {error!r}") from error
        self._revision = entry.revision or 0
        return _decoder.decode(entry.value or b"{}")

    async def write(self, page: Page) -> None:
        """Replace the page that was read or written last.

        Raises:
            FencedError: another replica has written since.
            UnavailableError: it may or may not be written: read it again.
        """
        try:
            bucket = await self._open()
            self._revision = await bucket.update(KEY, msgspec.json.encode(page), last=self._revision)
        except KeyWrongLastSequenceError as error:
            raise FencedError("alerts: another replica watches") from error
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"alerts: not written: {error!r}") from error

    async def _open(self) -> KeyValue:
        if self._bucket is None:
            self._bucket = await open_bucket(self._bus, BUCKET)
        return self._bucket
