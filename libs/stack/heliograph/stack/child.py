"""One supervised process: started, watched, started again when it dies, stopped."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import psutil

from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import ConfigError
from heliograph.stack.engines import Engine, EngineRefusedError
from heliograph.stack.errors import StackError
from heliograph.stack.process import Command, last_lines, rotate, spawn, stop
from heliograph.stack.state import RunningProcess

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
DEATHS = 10
DEATHS_WITHIN_S = 60.0
READY_WITHIN_S = 60.0
PROBE_EVERY_S = 0.1
PROBE_TIMEOUT_S = 3.0
CONFIGURATION_ERROR = 2
SERVICE_PREFIX = "heliograph: "
"""How a service begins the line that says why it ends."""


class Child:
    """Keeps one process alive. `keep` runs until it is cancelled or raises; `stop` ends the process."""

    def __init__(
        self,
        name: str,
        kind: Literal["engine", "service"],
        log: Path,
        prepare: Callable[[], Awaitable[Command]],
        *,
        engine: Engine | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.kind: Literal["engine", "service"] = kind
        self.log = log
        self.restarts = 0
        self.ready = asyncio.Event()
        self.version = ""
        self._prepare = prepare
        self._engine = engine
        self._changed = changed
        self._deaths: deque[float] = deque(maxlen=DEATHS)
        self._command: Command | None = None
        self._process: asyncio.subprocess.Process | None = None

    def running(self) -> RunningProcess | None:
        """What runs now."""
        if self._process is None or self._process.returncode is not None:
            return None
        try:
            created = psutil.Process(self._process.pid).create_time()
        except psutil.NoSuchProcess:
            return None
        return RunningProcess(name=self.name, kind=self.kind, pid=self._process.pid, created=created)

    async def keep(self) -> None:
        """Start the process, and again whenever it ends.

        Raises:
            ConfigError: it says that its configuration or its input is wrong.
            StackError: it cannot start, or dies again and again.
        """
        rotate(self.log)
        while True:
            self._command = await self._prepare()
            self._process = await spawn(self._command, self.log)
            self._changed()
            if self._engine:
                await self._wait_until_ready(self._engine, self._process)
            self.ready.set()
            status = await self._process.wait()
            self._judge(status)
            self.restarts += 1
            await asyncio.sleep(self._pause())

    def _judge(self, status: int) -> None:
        """What an end means: nothing yet, or the end of the stack."""
        if self.kind == "service" and status == CONFIGURATION_ERROR:
            raise ConfigError(self._last_words() or f"{self.name} refuses its configuration")
        now = SYSTEM_CLOCK.monotonic()
        self._deaths.append(now)
        if len(self._deaths) == DEATHS and now - self._deaths[0] < DEATHS_WITHIN_S:
            raise StackError(
                self._report(f"died {DEATHS} times in a minute, the last time with status {status}")
            )

    def _pause(self) -> float:
        """Seconds before the next start: doubled with each recent death."""
        now = SYSTEM_CLOCK.monotonic()
        recent = sum(now - death < DEATHS_WITHIN_S for death in self._deaths)
        return float(min(FIRST_PAUSE_S * 2 ** (recent - 1), LONGEST_PAUSE_S))

    async def _wait_until_ready(self, engine: Engine, process: asyncio.subprocess.Process) -> None:
        deadline = SYSTEM_CLOCK.monotonic() + READY_WITHIN_S
        while True:
            if process.returncode is not None:
                # What was killed is started again; what ends by itself at its first start will do so again.
                if not self.ready.is_set() and process.returncode > 0:
                    raise StackError(self._report(f"ends with status {process.returncode} at its start"))
                return
            try:
                self.version = await probe(engine)
                return
            except EngineRefusedError as error:
                raise StackError(self._report(str(error))) from error
            except OSError as error:
                if SYSTEM_CLOCK.monotonic() > deadline:
                    raise StackError(self._report(f"not ready in {READY_WITHIN_S:.0f} s: {error}")) from error
            await asyncio.sleep(PROBE_EVERY_S)

    def _last_words(self) -> str:
        lines = last_lines(self.log, 1)
        return lines[-1].removeprefix(SERVICE_PREFIX) if lines else ""

    def _report(self, what: str) -> str:
        lines = "".join(f"\n  {line}" for line in last_lines(self.log))
        return f"{self.name}: {what}. The end of {self.log}:{lines or ' (empty)'}"

    async def stop(self) -> None:
        """End the process in good order, or by force after its grace."""
        if self._process and self._command:
            await stop(self._process, self._command)


async def probe(engine: Engine) -> str:
    """One attempt at an engine, in a task of its own: a client library may swallow a cancellation.

    Raises:
        OSError: it does not answer yet.
        EngineRefusedError: it answers and refuses the credentials.
    """
    attempt = asyncio.create_task(engine.probe())
    attempt.add_done_callback(lambda task: task.cancelled() or task.exception())
    try:
        done, _ = await asyncio.wait({attempt}, timeout=PROBE_TIMEOUT_S)
    finally:
        attempt.cancel()
    if not done:
        raise TimeoutError(f"no answer in {PROBE_TIMEOUT_S:.0f} s")
    return attempt.result()
