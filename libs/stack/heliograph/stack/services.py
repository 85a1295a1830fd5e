"""The services as processes."""

import json
import os
import sys
from collections.abc import Mapping, Sequence

from heliograph.stack.engines import credentials_of
from heliograph.stack.options import MAX_SPEED, Options
from heliograph.stack.process import Command
from heliograph.stack.state import State

SERVICES = ("fetcher", "consensus", "reasoning", "tracker", "archiver", "gateway")
READERS = ("consensus", "tracker", "archiver")
"""Those that need every bar: a replay must not fill its stream before they have come."""
RECORD = ("POSTGRES_URL", "POSTGRES_OWNER_URL")
"""What the tracker alone is told."""
HISTORY_DAYS = 120
"""A paced replay begins with so many days at once, as a live provider does: indicators need a past."""
LEAN = {
    # One thread each: with a process for each service, pools of threads only take memory and turns.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # An allocation arena for each thread would keep several times the memory in use.
    "MALLOC_ARENA_MAX": "2",
    # What a process said last must be in its log when it is killed.
    "PYTHONUNBUFFERED": "1",
}


def commands(
    names: Sequence[str],
    options: Options,
    state: State,
    shards: int,
    gateway_port: int,
    engines: Mapping[str, str],
) -> list[Command]:
    """One command for each replica of each named service.

    `engines` holds the engines' URLs as environment variables; each service gets its own user of NATS.
    """
    shared = {
        **LEAN,
        **os.environ,
        "REDIS_URL": "",
        **engines,
        "CLICKHOUSE_URL": f"chdb://{state.folder / 'clickhouse'}",
        "ARCHIVE_URL": f"file://{state.folder / 'archive'}",
        "HELIOGRAPH_SHARDS": str(shards),
        "HELIOGRAPH_PROBE_PORT": "0",
        "HELIOGRAPH_DATA": str(options.data),
        "HELIOGRAPH_SPEED": MAX_SPEED if options.speed is None else str(options.speed),
        "HELIOGRAPH_HISTORY_DAYS": str(HISTORY_DAYS),
        **({} if options.provider is None else {"HELIOGRAPH_PROVIDER": options.provider}),
        "HELIOGRAPH_READERS": json.dumps([name for name in READERS if name in names]),
    }
    return [
        Command(
            name=process_name(name, replica),
            program=[sys.executable, "-m", f"heliograph.{name}"],
            environment={
                **{key: value for key, value in shared.items() if name == "tracker" or key not in RECORD},
                **credentials_of(state.nats_user(name)),
                # The same after a restart, so that a process takes its own shards back at once.
                "HELIOGRAPH_MEMBER": member_of(process_name(name, replica)),
                "HELIOGRAPH_GATEWAY_PORT": str(gateway_port if replica == 1 else 0),
            },
        )
        for name in names
        for replica in range(1, options.replicas + 1)
    ]


def process_name(service: str, replica: int) -> str:
    """What a process and its log are called; replicas count from 1."""
    return service if replica == 1 else f"{service}-{replica}"


def member_of(process: str) -> str:
    """The name by which a process is known among the members of its service."""
    return process if "-" in process else f"{process}-1"
