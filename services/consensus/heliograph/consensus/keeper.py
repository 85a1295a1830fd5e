"""Keeps checkpoints beside the batches, one at a time, and in moments in which a shard rests."""

import asyncio
from collections.abc import Mapping

import structlog

from heliograph.common.errors import UnavailableError
from heliograph.consensus.processor import ConsensusProcessor

LOOK_EVERY_S = 0.1

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class CheckpointKeeper:
    """The checkpoints of one process's shards.

    No batch waits for a checkpoint: one that is written while all shards have just got their bars would
    delay their signals by more than their computation takes.
    """

    def __init__(self, processors: Mapping[int, ConsensusProcessor]) -> None:
        self._processors = processors

    async def run(self) -> None:
        """Keep what is due until cancelled; what cannot be stored now is due the next time."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for shard in list(self._processors):
                processor = self._processors.get(shard)
                if processor is None or not processor.due:
                    continue
                try:
                    await processor.save()
                except UnavailableError as error:
                    await log.awarning("checkpoint not kept", shard=shard, error=str(error))
