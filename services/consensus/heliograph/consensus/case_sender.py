"""Hands the cases of the pattern source to the tracker, beside the batches."""

import asyncio
from collections.abc import Mapping

import msgspec
import structlog

from heliograph.common.bus import Bus
from heliograph.common.errors import HeliographError
from heliograph.consensus.processor import ConsensusProcessor

SUBJECT = "query.tracker.pattern_cases"
LOOK_EVERY_S = 1.0
MOST = 1000
"""Cases of one request."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class CaseSender:
    """The cases of one process's shards.

    A case stays in the engine, and so in its checkpoint, until the tracker has it; one that is sent again
    changes nothing.
    """

    def __init__(self, bus: Bus, processors: Mapping[int, ConsensusProcessor]) -> None:
        self._bus = bus
        self._processors = processors

    async def run(self) -> None:
        """Send what there is until cancelled; what is not taken now is sent the next time."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for shard in list(self._processors):
                try:
                    await self._send(shard)
                except HeliographError as error:
                    await log.awarning("cases not handed over", shard=shard, error=str(error))

    async def _send(self, shard: int) -> None:
        """Send one shard's cases.

        Raises:
            UnavailableError: the tracker is away.
            InputError: it does not take them.
        """
        processor = self._processors.get(shard)
        while processor is not None and processor.engine.cases:
            cases = processor.engine.cases[:MOST]
            await self._bus.request(SUBJECT, {"cases": msgspec.to_builtins(cases)})
            sent = {case.signal for case in cases}
            processor.engine.cases = [case for case in processor.engine.cases if case.signal not in sent]
