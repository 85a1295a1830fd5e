"""`startup` and `memory`: from the command to the first signal, and what all processes then hold."""

import argparse
import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from benchmarks.figures import Figure, show

from heliograph.common.errors import UnavailableError
from heliograph.stack.options import PLEASANT_SPEED, Options, sample_folder
from heliograph.stack.stack import Stack
from heliograph.stack.state import State

MEGABYTE = 1e6
SETTLE_S = 20.0


async def next_signal(stack: Stack, after: int) -> int:
    """Wait until SIGNAL holds a message later than the sequence `after`; the newest sequence."""
    bus = await stack.connect()
    try:
        while True:
            try:
                newest = await bus.last_seq("SIGNAL")
                if newest > after:
                    return newest
            except UnavailableError:
                pass
            await asyncio.sleep(0.02)
    finally:
        await bus.close()


def memory(stack: Stack) -> dict[str, float]:
    """Proportional set size of each process with its children, in megabytes: shared pages count once."""
    found: dict[str, float] = {}
    for running in stack.supervisor.running():
        process = psutil.Process(running.pid)
        family = [process, *process.children(recursive=True)]
        found[running.name] = sum(p.memory_full_info().pss for p in family) / MEGABYTE
    return found


async def measure() -> list[Figure]:
    """Start twice on one state folder, as a user does."""
    figures = []
    with TemporaryDirectory(prefix="heliograph-bench-") as folder:
        newest = 0
        for start in ("first", "second"):
            state = State(Path(folder) / "state")
            begun = time.perf_counter()
            async with Stack(state, Options(data=sample_folder(), speed=PLEASANT_SPEED)) as stack:
                engines = time.perf_counter() - begun
                newest = await stack.race(next_signal(stack, newest))
                signal = time.perf_counter() - begun
                await asyncio.sleep(SETTLE_S)
                held = memory(stack)
                newest = await stack.race(next_signal(stack, 0))
            figures.append(
                Figure(
                    name=f"{start} start → next signal",
                    value=f"{signal:.1f} s",
                    beside=f"engines ready after {engines:.1f} s",
                    goal="≤ 10 s",
                )
            )
        parts = ", ".join(f"{name} {size:.0f}" for name, size in sorted(held.items(), key=lambda i: -i[1]))
        figures.append(
            Figure(
                name="all processes", value=f"{sum(held.values()):.0f} MB", beside=parts, goal="≤ 1,500 MB"
            )
        )
    return figures


def main() -> None:
    """Print the figures."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    show("startup and memory", asyncio.run(measure()), "python -m benchmarks.startup")


if __name__ == "__main__":
    main()
