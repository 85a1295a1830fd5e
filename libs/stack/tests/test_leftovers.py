"""What a killed supervisor leaves behind is ended, and nothing else is touched."""

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from heliograph.stack.leftovers import alive, end_leftovers
from heliograph.stack.state import Run, RunningProcess


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    """A process that would run for minutes."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield psutil.Process(process.pid)
        process.kill()


def entry(process: psutil.Process, *, later_s: float = 0.0) -> RunningProcess:
    """The process as a state folder remembers it."""
    created = process.create_time() - later_s
    return RunningProcess(name="sleeper", kind="service", pid=process.pid, created=created)


def run(*processes: RunningProcess) -> Run:
    """A stack of these processes."""
    return Run(supervisor=processes[0], started="", urls={}, settings={}, processes=list(processes))


async def test_a_leftover_is_ended(sleeper: psutil.Process) -> None:
    assert alive(entry(sleeper))
    await end_leftovers(run(entry(sleeper)))
    assert not alive(entry(sleeper))


async def test_a_later_process_with_the_same_pid_is_not_touched(sleeper: psutil.Process) -> None:
    remembered = entry(sleeper, later_s=3600)
    assert alive(remembered) is None
    await end_leftovers(run(remembered))
    assert sleeper.is_running()


async def test_a_process_that_is_gone_is_no_trouble(sleeper: psutil.Process) -> None:
    remembered = entry(sleeper)
    sleeper.kill()
    psutil.wait_procs([sleeper], timeout=10)
    await end_leftovers(run(remembered))
    assert alive(remembered) is None
