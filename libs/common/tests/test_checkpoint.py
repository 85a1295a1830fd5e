"""Checkpoints in the real object store."""

import numpy as np

from heliograph.common.bus import Bus
from heliograph.common.checkpoint import Checkpoints


async def test_the_newest_checkpoint_comes_back_whole(bus: Bus) -> None:
    checkpoints = Checkpoints(bus, "test")
    assert await checkpoints.load(3) is None
    state = np.random.default_rng(1).bytes(3_000_000)
    await checkpoints.save(3, 41, b"older")
    await checkpoints.save(3, 42, state)
    await checkpoints.save(4, 7, b"")
    again = Checkpoints(bus, "test")
    assert await again.load(3) == (42, state)
    assert await again.load(4) == (7, b"")
    assert await Checkpoints(bus, "other").load(3) is None
