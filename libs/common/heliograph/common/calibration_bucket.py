"""Calibrations in a key-value bucket of NATS: one key a strategy, with its last versions as history."""

import msgspec
import structlog
from nats.errors import Error as NatsError
from nats.js.kv import KeyValue

from heliograph.common.buckets import open_bucket
from heliograph.common.bus import Bus
from heliograph.common.calibration import Calibration
from heliograph.common.errors import UnavailableError
from heliograph.common.ids import derive_id

BUCKET = "calibrations"
HISTORY = 64
"""Versions of a strategy that stay: as many as a bucket can keep."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
_decoder = msgspec.json.Decoder(Calibration)


class CalibrationBucket:
    """The calibrations that were sent, in the order of sending."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._bucket: KeyValue | None = None
        self._read = 0

    async def put(self, model: Calibration) -> None:
        """Send a calibration; returns when it is stored.

        Raises:
            UnavailableError: it is not known to be stored; sending it again is safe.
        """
        # A strategy's name may have characters that a key may not; the value tells it.
        key = derive_id("strategy", model.strategy)
        try:
            await (await self._open()).put(key, msgspec.json.encode(model))
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"calibration {model.version}: not sent: {error!r}") from error

    async def newer(self) -> list[Calibration]:
        """Those sent since the last call, at first all that are kept; what is none is logged and left out.

        Raises:
            UnavailableError: the server does not answer.
        """
        try:
            await self._open()
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"calibrations: {error!r}") from error
        stream, subject = f"KV_{BUCKET}", f"$KV.{BUCKET}.>"
        last = await self._bus.last(stream, subject)
        if last is None or last.seq <= self._read:
            return []
        found = []
        async for stored in self._bus.read(stream, subject, after=self._read, upto=last.seq):
            try:
                found.append(_decoder.decode(stored.data))
            except msgspec.DecodeError as error:
                await log.aerror("not a calibration", seq=stored.seq, error=str(error))
        self._read = last.seq
        return found

    async def _open(self) -> KeyValue:
        if self._bucket is None:
            self._bucket = await open_bucket(self._bus, BUCKET, history=HISTORY)
        return self._bucket
