"""Services and engines killed in mid-replay: nothing is lost, nothing comes twice."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.running import Running, Summary, same, until

from heliograph.common.shards import DEFAULT_SHARDS, shard_of

VICTIMS = (
    "consensus",
    "nats",
    "tracker",
    "fetcher",
    "postgres",
    "reasoning",
    "archiver",
    "redis",
    "gateway",
)
SLOWLY = {"HELIOGRAPH_BARS_AHEAD": "150", "HELIOGRAPH_WINDOW_MESSAGES": "24"}
"""So near to its slowest reader, the replay has begun when every service has, and each kill falls into it."""

pytestmark = pytest.mark.timeout(400)


def published(running: Running, messages: int) -> bool:
    """Whether so much of the replay is in INPUT."""
    return running.messages("INPUT") >= messages


def restarted(running: Running, name: str, killed: int) -> bool:
    """Whether another process has taken the place of a killed one."""
    assert running.process.poll() is None, running.all_text()
    return running.pid(name) not in (None, killed)


def disturb(running: Running, names: tuple[str, ...], total: int) -> None:
    """Kill one after another, each when a further part of the replay has been published."""
    for place, name in enumerate(names, 1):
        share = int(total * place / (len(names) + 4))
        until(partial(published, running, share), f"{share} messages")
        assert not published(running, total), f"the replay is over before {name} is killed"
        killed = running.kill(name, signal.SIGKILL)
        until(partial(restarted, running, name, killed), f"{name} to be restarted", 120, running.all_text)


@pytest.fixture(scope="module")
def total(year: Path) -> int:
    """Messages on INPUT after the whole replay: one for each shard and start of bars."""
    table = pa.concat_tables(pq.read_table(f, columns=["symbol", "ts"]) for f in year.glob("*.parquet"))
    shards = {s: shard_of(s, DEFAULT_SHARDS) for s in pc.unique(table["symbol"]).to_pylist()}
    rows = zip(table["symbol"].to_pylist(), table["ts"].cast("int64").to_pylist(), strict=True)
    return len({(shards[symbol], ts) for symbol, ts in rows})


def test_every_service_and_engine_killed_in_mid_replay(
    once: Callable[..., Running], year: Path, expected: Summary, total: int
) -> None:
    running = once("--data", str(year), **SLOWLY)
    disturb(running, VICTIMS, total)
    assert same(running.summary()) == expected
