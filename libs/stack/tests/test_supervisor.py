"""A supervisor keeps its processes alive, gives up loudly, and leaves none behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from heliograph.common.errors import ConfigError
from heliograph.stack import child as child_module
from heliograph.stack.errors import StackError
from heliograph.stack.process import Command
from heliograph.stack.state import State
from heliograph.stack.supervisor import Supervisor

from .conftest import Eventually

Service = Callable[[str, str], Awaitable[Supervisor]]


def python(name: str, script: str, **options: float) -> Command:
    """A process that runs a script."""
    environment = dict(os.environ)
    return Command(name=name, program=[sys.executable, "-c", script], environment=environment, **options)  # type: ignore[arg-type]


@pytest.fixture
async def supervisor(state: State) -> AsyncIterator[Supervisor]:
    keeper = Supervisor(state)
    try:
        yield keeper
    finally:
        await keeper.stop()


SLEEP = "import time; print('up', flush=True); time.sleep(600)"


async def test_a_killed_process_comes_back(supervisor: Supervisor, eventually: Eventually) -> None:
    supervisor.add_service(python("sleeper", SLEEP))
    await supervisor.start()
    first = await eventually(lambda: running(supervisor))

    os.kill(first, signal.SIGKILL)

    async def replaced() -> bool:
        return await running(supervisor) not in (None, first)

    await eventually(replaced)
    assert supervisor.children[0].restarts == 1


async def running(supervisor: Supervisor) -> int | None:
    """The pid of the only process."""
    found = supervisor.running()
    return found[0].pid if found else None


async def test_exit_code_2_ends_everything_with_the_message(supervisor: Supervisor) -> None:
    script = "import sys; sys.stderr.write('noise\\nheliograph: data: no folder\\n'); sys.exit(2)"
    supervisor.add_service(python("picky", script))
    await supervisor.start()

    with pytest.raises(ConfigError, match=r"^data: no folder$"):
        await supervisor.race(asyncio.sleep(60))


async def test_a_process_that_dies_again_and_again_ends_everything(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(child_module, "LONGEST_PAUSE_S", 0.01)
    supervisor.add_service(python("moth", "raise SystemExit('too hot')"))
    await supervisor.start()

    with pytest.raises(StackError, match=r"(?s)moth: died 10 times in a minute.*status 1.*too hot"):
        await supervisor.race(asyncio.sleep(60))


async def test_a_program_that_does_not_exist_is_named(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(child_module, "LONGEST_PAUSE_S", 0.01)
    supervisor.add_service(Command(name="ghost", program=["/no/such/program"], environment={}))
    await supervisor.start()

    with pytest.raises(StackError, match=r"(?s)ghost: died.*/no/such/program"):
        await supervisor.race(asyncio.sleep(60))


async def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(
    supervisor: Supervisor, eventually: Eventually
) -> None:
    script = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
    supervisor.add_service(python("stubborn", script, grace_s=0.3))
    await supervisor.start()

    async def said_up() -> bool:
        return "up" in supervisor.children[0].log.read_text()

    await eventually(said_up)
    pid = await running(supervisor)
    assert pid is not None
    await supervisor.stop()

    assert not psutil.pid_exists(pid)


async def test_services_stop_before_engines(stack_order: list[str]) -> None:
    assert stack_order == ["service", "engine"]


@pytest.fixture
async def stack_order(state: State, tmp_path: Path, eventually: Eventually) -> list[str]:
    """The order in which one service and one engine of the same script ended."""
    script = (
        "import pathlib, signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(0.2 if sys.argv[1] == 'service' else 0)\n"
        "    with open(sys.argv[2], 'a') as file: file.write(sys.argv[1] + '\\n')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "pathlib.Path(sys.argv[2] + '.' + sys.argv[1]).touch()\n"
        "time.sleep(600)\n"
    )
    journal = tmp_path / "journal"

    class Scripted:
        """An engine that is ready once its script has begun."""

        name = "engine"
        address = ""
        environment: dict[str, str] = {}  # noqa: RUF012 - the protocol's shape

        async def prepare(self) -> Command:
            return command("engine")

        async def probe(self) -> str:
            if not journal.with_name("journal.engine").exists():
                raise ConnectionRefusedError
            return "1"

    def command(kind: str) -> Command:
        program = [sys.executable, "-c", script, kind, str(journal)]
        return Command(name=kind, program=program, environment=dict(os.environ))

    supervisor = Supervisor(state)
    supervisor.add_engine(Scripted())
    supervisor.add_service(command("service"))
    await supervisor.start()

    async def begun() -> bool:
        return journal.with_name("journal.service").exists()

    await eventually(begun)
    await supervisor.stop()
    return journal.read_text().split()


async def test_an_engine_whose_client_swallows_cancellations_can_be_stopped(state: State) -> None:
    probing = asyncio.Event()

    class Deaf:
        """An engine that is never ready, and whose probe cannot be cancelled at once."""

        name = "deaf"
        address = ""
        environment: dict[str, str] = {}  # noqa: RUF012 - the protocol's shape

        async def prepare(self) -> Command:
            return python("deaf", SLEEP)

        async def probe(self) -> str:
            probing.set()
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                return "1"
            return "2"

    supervisor = Supervisor(state)
    supervisor.add_engine(Deaf())
    start = asyncio.create_task(supervisor.start())
    await probing.wait()
    start.cancel()
    await asyncio.wait({start})
    pid = await running(supervisor)
    assert pid is not None
    await asyncio.wait_for(supervisor.stop(), 30)
    assert not psutil.pid_exists(pid)


ORPHAN_MAKER = """
import asyncio, os, sys
from pathlib import Path
from heliograph.stack.process import Command
from heliograph.stack.state import State
from heliograph.stack.supervisor import Supervisor

async def main():
    state = State(Path(sys.argv[1]))
    state.create()
    supervisor = Supervisor(state)
    program = [sys.executable, "-c", "import time; time.sleep(600)"]
    supervisor.add_service(Command(name="orphan", program=program, environment=dict(os.environ)))
    await supervisor.start()
    while not supervisor.running():
        await asyncio.sleep(0.01)
    print(supervisor.running()[0].pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's death signal is Linux's")
def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", ORPHAN_MAKER, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        orphan = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    gone, alive = psutil.wait_procs([orphan], timeout=30)
    assert gone
    assert not alive
