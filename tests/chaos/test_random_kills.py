"""Services and engines killed at random for as long as a replay lasts: the signal set must not change."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engines import by_engines
from tests.running import Running, same

VICTIMS = (
    "fetcher",
    "consensus",
    "reasoning",
    "tracker",
    "archiver",
    "gateway",
    "nats",
    "postgres",
    "redis",
)
PAUSE_S = (2.0, 5.0)
KILLS = 25
"""After so many the replay may end in peace."""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_random(once: Callable[..., Running], two_years: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a repeatable order of kills
    running = once("--data", str(two_years))
    for _ in range(KILLS):
        time.sleep(chance.uniform(*PAUSE_S))
        if running.process.poll() is not None:
            break
        victim = chance.choice(VICTIMS)
        if running.pid(victim):
            running.kill(victim, signal.SIGKILL)
    assert same(running.summary(600)) == by_engines(two_years)
