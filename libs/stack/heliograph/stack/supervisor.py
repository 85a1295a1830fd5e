"""Keeps the engines and the services alive, and stops all of them in order."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from heliograph.stack.child import Child
from heliograph.stack.engines import Engine
from heliograph.stack.process import Command
from heliograph.stack.state import RunningProcess, State

T = TypeVar("T")
CANCEL_EVERY_S = 1.0


class Supervisor:
    """Owns every child process of a stack: `start`, then do the work under `race`, and always `stop`."""

    def __init__(self, state: State, *, changed: Callable[[], None] = lambda: None) -> None:
        self._state = state
        self._changed = changed
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.children: list[Child] = []

    def add_engine(self, engine: Engine) -> None:
        """Have an engine started."""
        log = self._state.log(engine.name)
        child = Child(engine.name, "engine", log, engine.prepare, engine=engine, changed=self._changed)
        self.children.append(child)

    def add_service(self, command: Command) -> None:
        """Have a service started."""

        async def prepare() -> Command:
            return command

        log = self._state.log(command.name)
        self.children.append(Child(command.name, "service", log, prepare, changed=self._changed))

    async def start(self) -> None:
        """Start all at once and return when the engines answer; the services wait for them by themselves.

        Raises:
            ConfigError: a service refuses its configuration.
            StackError: an engine cannot start; the message ends with the end of its log.
        """
        for child in self.children:
            task = asyncio.create_task(child.keep(), name=child.name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        await self.race(self._engines_ready())

    async def _engines_ready(self) -> None:
        await asyncio.gather(*(child.ready.wait() for child in self.children if child.kind == "engine"))

    async def race(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of some work, as long as the processes live.

        Raises:
            ConfigError: a service refuses its configuration or its input.
            StackError: a process dies again and again.
        """
        task = asyncio.create_task(work)
        try:
            ends: list[asyncio.Future[Any]] = [task, self._failed]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
            return task.result()
        finally:
            await _cancel(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error and not self._failed.done():
            self._failed.set_exception(error)

    def running(self) -> list[RunningProcess]:
        """Every process that runs now."""
        return [process for child in self.children if (process := child.running())]

    async def stop(self) -> None:
        """Stop the services, which then still have their stores, and after them the engines."""
        await asyncio.gather(*(_cancel(task) for task in self._tasks))
        for kind in ("service", "engine"):
            await asyncio.gather(*(child.stop() for child in self.children if child.kind == kind))
        if self._failed.done():
            self._failed.exception()


async def _cancel(task: asyncio.Task[Any]) -> None:
    """End a task, however often a client library in it swallows the cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_EVERY_S)
    if not task.cancelled():
        task.exception()
