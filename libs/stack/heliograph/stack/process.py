"""A child process of the supervisor: its start, its log, its end."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

LAUNCHER = Path(__file__).with_name("launch.py")
Identity = Literal["same", "mask", "nobody"]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, and how.

    Attributes:
        name: of the process and of its log.
        program: absolute path and arguments.
        environment: all of it.
        identity: as whom (see `launch.py`).
        stop_signal: asks it to end in good order.
        orphan_signal: what it gets from the kernel when the supervisor dies.
        grace_s: seconds from `stop_signal` to SIGKILL.
    """

    name: str
    program: Sequence[str]
    environment: Mapping[str, str]
    identity: Identity = "same"
    stop_signal: int = signal.SIGTERM
    orphan_signal: int = signal.SIGKILL
    grace_s: float = 10.0

    def argv(self) -> list[str]:
        """The command line: the launcher, which becomes the program."""
        options = [f"--parent={os.getpid()}", f"--signal={self.orphan_signal}", f"--identity={self.identity}"]
        return [sys.executable, "-I", "-S", str(LAUNCHER), *options, "--", *self.program]


async def spawn(command: Command, log: Path) -> asyncio.subprocess.Process:
    """Start it in a session of its own, so that a Ctrl-C in the terminal reaches only the supervisor."""
    with log.open("ab") as sink:
        return await asyncio.create_subprocess_exec(
            *command.argv(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=dict(command.environment),
            start_new_session=True,
        )


async def run(command: Command, log: Path, text: str = "") -> int:
    """Run it to its end with `text` as its input; its exit status."""
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            *command.argv(),
            stdin=asyncio.subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            env=dict(command.environment),
            start_new_session=True,
        )
    try:
        await process.communicate(text.encode())
        return await process.wait()
    finally:
        if process.returncode is None:
            _signal(process, signal.SIGKILL)


async def stop(process: asyncio.subprocess.Process, command: Command) -> None:
    """Ask it to end, wait for its grace, then kill it; returns when it is gone."""
    if process.returncode is None:
        _signal(process, command.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), command.grace_s)
        except TimeoutError:
            _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return


def last_lines(log: Path, count: int = 12) -> list[str]:
    """The last lines of a log that are not empty."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()][-count:]


def rotate(log: Path) -> None:
    """Keep the log of the last run beside a new one."""
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
