"""The shell around a service: one process with its bus, probes, traces, shards and a clean end."""

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import structlog
import uvloop

from heliograph.common import peak_memory, probes, samples, telemetry
from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK, member_id
from heliograph.common.config import Settings, load
from heliograph.common.errors import ConfigError, HeliographError, InputError
from heliograph.common.refusals import REFUSED
from heliograph.common.service import Context, Service
from heliograph.common.sharing import Sharing

GC_THRESHOLD = 20_000
AUTOGROUP = Path("/proc/self/autogroup")
STUCK_S = 30.0
"""A loop that has not moved for so long is not alive."""
EXIT_FAILED = 1
EXIT_CONFIG = 2
"""Exit code of a process whose configuration or input is wrong: starting it again would not help."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
S = TypeVar("S", bound=Settings)
R = TypeVar("R")


class Shell:
    """One running service."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self._service = service
        self._settings = settings
        self._member = settings.member or member_id()
        self._moved_at = time.monotonic()
        self._started = False
        self._sharing: Sharing | None = None
        self._probe = ""
        self._bus: Bus | None = None

    def _moved(self) -> None:
        self._moved_at = time.monotonic()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; then hand everything over and end.

        Raises:
            HeliographError: the service cannot start, or an invariant broke.
        """
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        telemetry.configure_logging(self._service.name, self._member, self._settings.log_level)
        tracing = telemetry.Tracing(
            self._service.name, self._member, self._settings.trace_sample, self._settings.otlp_endpoint
        )
        telemetry.install(tracing)
        sock = probes.listen(self._settings.probe_host, self._settings.probe_port, "probe_port")
        self._probe = f"http://{self._settings.probe_host}:{sock.getsockname()[1]}"
        async with asyncio.TaskGroup() as group:
            server = probes.probe_server(probes.probe_app(self._live, self._ready))
            tasks = [group.create_task(server.serve(sockets=[sock]))]
            try:
                await self._serve(group, tasks, tracing, stopping)
            finally:
                server.should_exit = True
                for task in tasks[1:]:
                    task.cancel()
                close(sock)

    async def _serve(
        self,
        group: asyncio.TaskGroup,
        tasks: list[asyncio.Task[None]],
        tracing: telemetry.Tracing,
        stopping: asyncio.Event,
    ) -> None:
        bus = await self._until(stopping, Bus.connect(self._settings, f"{self._service.name}-{self._member}"))
        if bus is None:
            return
        self._bus = bus
        try:
            await bus.ensure_streams()
            for subject in ("status.all", f"status.{self._service.name}"):
                await bus.respond(subject, self._status)
            await bus.respond(samples.SUBJECT, self._measured)
            context = Context(
                name=self._service.name,
                member=self._member,
                settings=self._settings,
                bus=bus,
                clock=SYSTEM_CLOCK,
            )
            await self._until(stopping, self._service.start(context))
            self._started = not stopping.is_set()
            settle_memory()
            tasks.append(group.create_task(tracing.run(bus)))
            tasks.append(group.create_task(self._beat()))
            await log.ainfo("started", probe=self._probe)
            await self._share(group, tasks, bus, stopping)
            with contextlib.suppress(HeliographError, TimeoutError):
                async with asyncio.timeout(5):
                    await self._service.stop()
                    await tracing.flush(bus)
        finally:
            await bus.close()
            await log.ainfo("stopped")

    async def _share(
        self, group: asyncio.TaskGroup, tasks: list[asyncio.Task[None]], bus: Bus, stopping: asyncio.Event
    ) -> None:
        if not self._service.sharded:
            await stopping.wait()
            return
        self._sharing = Sharing(bus, self._service, self._member, self._settings, self._moved)
        if not stopping.is_set():
            tasks.append(follow := group.create_task(self._sharing.run()))
            stopped = group.create_task(stopping.wait())
            ends: list[asyncio.Future[Any]] = [self._sharing.failure, stopped]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            follow.cancel()
        failed = self._sharing.failure.done()
        await self._sharing.stop()
        if failed:
            self._sharing.failure.result()

    @staticmethod
    async def _until(stopping: asyncio.Event, work: Coroutine[Any, Any, R]) -> R | None:
        """The result of some work; None when the process is told to stop first."""
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(stopping.wait())
        ends: list[asyncio.Task[Any]] = [task, stopped]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            return task.result()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return None

    async def _beat(self) -> None:
        """A service without shards is alive as long as its loop turns."""
        while True:
            if not self._service.sharded:
                self._moved()
            await asyncio.sleep(1)

    async def _live(self) -> dict[str, str]:
        still = time.monotonic() - self._moved_at
        return {"loop": f"has not moved for {still:.0f} s"} if self._started and still > STUCK_S else {}

    async def _ready(self) -> dict[str, str]:
        if not self._started:
            return {"start": "not finished", **await self._problems()}
        return await self._problems()

    async def _problems(self) -> dict[str, str]:
        refused = self._bus.refusals.problem() if self._bus else ""
        found = {REFUSED: refused} if refused else {}
        try:
            return found | await self._service.problems()
        except HeliographError as error:
            return found | {self._service.name: str(error)}

    async def _measured(self, data: bytes) -> bytes:
        return samples.answer(self._service.name, self._member, data)

    async def _status(self, _: bytes) -> bytes:
        problems = await self._ready()
        status = await self._service.status() if self._started else {}
        return json.dumps(
            {
                "service": self._service.name,
                "member": self._member,
                "shards": self._sharing.shards if self._sharing else [],
                "ready": not problems,
                "problems": problems,
                "probe": self._probe,
                "status": status,
            }
        ).encode()


def settle_memory() -> None:
    """Take what the start has made out of the garbage collector's sight, and let it look less often.

    A batch of bars is ten thousand floats that die with it: without this the collector goes through the
    imported libraries' objects again and again for nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)


def close(sock: socket.socket) -> None:
    """Close a listening socket that a server may have closed already."""
    with contextlib.suppress(OSError):
        sock.close()


def run(service: type[Service], settings: type[S]) -> None:
    """Run a service as this process; exits with 0, 1 (failed) or 2 (configuration or input is wrong)."""
    try:
        loaded = load(settings)
        step_back(loaded.own_nice if loaded.nice is None else loaded.nice)
        peak_memory.tell()
        uvloop.run(Shell(service(), loaded).run())
    except (ConfigError, InputError) as error:
        fail(error, EXIT_CONFIG)
    except BaseExceptionGroup as group:
        wrong, rest = group.split((ConfigError, InputError))
        fail(wrong if wrong and not rest else group, EXIT_CONFIG if wrong and not rest else EXIT_FAILED)
    except HeliographError as error:
        fail(error, EXIT_FAILED)


def step_back(nice: int) -> None:
    """Be at least so nice to other processes; threads made later inherit it.

    Where Linux groups processes by session (`sched_autogroup`), niceness counts inside a group alone. A
    leader of a session of its own, as each process of the stack is, therefore makes its group nice too.
    """
    os.setpriority(os.PRIO_PROCESS, 0, max(nice, os.getpriority(os.PRIO_PROCESS, 0)))
    if nice and os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            AUTOGROUP.write_text(str(nice))


def fail(error: BaseException, code: int) -> None:
    """Say what is wrong in one line and end the process."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    sys.stderr.write(f"heliograph: {error}\n")
    sys.exit(code)
