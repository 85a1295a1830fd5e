"""Checkpoints: a shard's state with the stream sequence that it reflects, in the NATS object store."""

import asyncio
import contextlib
from collections import defaultdict

from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import BucketNotFoundError, NotFoundError
from nats.js.object_store import ObjectStore

from heliograph.common.bus import Bus
from heliograph.common.errors import UnavailableError

BUCKET = "checkpoints"
SEQ_HEADER = "Heliograph-Seq"


class Checkpoints:
    """The newest checkpoint of each shard of one service; an older one is replaced."""

    def __init__(self, bus: Bus, service: str) -> None:
        self._bus = bus
        self._service = service
        self._store: ObjectStore | None = None
        self._writing: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def save(self, shard: int, seq: int, data: bytes) -> None:
        """Store the state of a shard after the INPUT message `seq`.

        Raises:
            UnavailableError: it is not stored; the checkpoint before it still is.
        """
        try:
            store = await self._bucket()
            meta = api.ObjectMeta(name=self._name(shard), headers={SEQ_HEADER: str(seq)})
            async with self._writing[shard]:  # two at once would each remove the other's chunks
                await store.put(self._name(shard), data, meta=meta)
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"checkpoint of shard {shard}: not stored: {error!r}") from error

    async def load(self, shard: int) -> tuple[int, bytes] | None:
        """The newest checkpoint as (seq, data); None where there is none.

        Raises:
            UnavailableError: the store does not answer, or the object is damaged.
        """
        try:
            store = await self._bucket()
            found = await store.get(self._name(shard))
        except NotFoundError:
            return None
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"checkpoint of shard {shard}: not read: {error!r}") from error
        headers = found.info.headers or {}
        return int(headers[SEQ_HEADER]), found.data or b""

    def _name(self, shard: int) -> str:
        return f"{self._service}.{shard}"

    async def _bucket(self) -> ObjectStore:
        if self._store is None:
            with contextlib.suppress(BucketNotFoundError, NotFoundError):
                self._store = await self._bus.js.object_store(BUCKET)
        if self._store is None:
            config = api.ObjectStoreConfig(replicas=self._bus.settings.replicas)
            self._store = await self._bus.js.create_object_store(BUCKET, config=config)
        return self._store
