"""Processes of a stack whose supervisor was killed."""

import asyncio

import psutil

from heliograph.stack.state import Run, RunningProcess

GRACE_S = 10.0


def alive(process: RunningProcess) -> psutil.Process | None:
    """The process itself, when it still runs and is not a later one with the same pid."""
    try:
        found = psutil.Process(process.pid)
        same = abs(found.create_time() - process.created) < 1.0 and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return found if same else None


async def end_leftovers(run: Run) -> None:
    """End what a killed supervisor left behind, so that no two servers ever open the same data."""
    found = [process for entry in run.processes if (process := alive(entry))]
    for process in found:
        process.terminate()
    _, stubborn = await asyncio.to_thread(psutil.wait_procs, found, timeout=GRACE_S)
    for process in stubborn:
        process.kill()
    await asyncio.to_thread(psutil.wait_procs, stubborn, timeout=GRACE_S)
