"""A whole stack on one state folder: engines, services, and what others need to know of them."""

import os
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import psutil
import structlog

from heliograph.common import telemetry
from heliograph.common.bus import Bus
from heliograph.common.config import Settings
from heliograph.common.errors import ConfigError
from heliograph.common.permissions import OPERATOR
from heliograph.common.shards import DEFAULT_SHARDS
from heliograph.stack import ports, services
from heliograph.stack.engines import Engine, NatsEngine, PostgresEngine, RedisEngine
from heliograph.stack.leftovers import end_leftovers
from heliograph.stack.options import Options
from heliograph.stack.state import Run, RunningProcess, State
from heliograph.stack.supervisor import Supervisor

T = TypeVar("T")
GATEWAY_PORT = 8080
"""Of the page at the first start, where it is free."""
ENGINE_PORTS = ("nats", "nats_monitor", "postgres", "redis")


class Stack:
    """An asynchronous context: entered when the engines answer, left when every process is gone."""

    def __init__(self, state: State, options: Options, names: Sequence[str] = services.SERVICES) -> None:
        self.state = state
        self.options = options
        self._names = names
        self.shards = options.shards or DEFAULT_SHARDS
        self.notes: list[str] = []
        self.urls: dict[str, str] = {}
        self.started = datetime.now(UTC)
        self.supervisor = Supervisor(state, changed=self._record)

    async def __aenter__(self) -> Self:
        """Take the state folder and start everything on it.

        Raises:
            ConfigError: a setting is wrong.
            StackError: the folder is in use, or an engine cannot start.
        """
        self.state.lock()
        try:
            left = self.state.run()
            if left:
                await end_leftovers(left)
            await self._compose()
            await self.supervisor.start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything."""
        await self._end()

    async def _end(self) -> None:
        await self.supervisor.stop()
        self.state.set_run(None)
        self.state.unlock()

    async def _compose(self) -> None:
        """Settle ports and shards as at the first start, and say what is to run."""
        kept = self.state.kept()
        wanted = {name: kept.ports.get(name, 0) for name in ENGINE_PORTS}
        wanted["gateway"] = kept.ports.get("gateway", 0)
        if self.options.gateway_port is not None:
            wanted["gateway"] = self._asked(self.options.gateway_port)
        elif not wanted["gateway"]:
            wanted["gateway"] = GATEWAY_PORT
        kept.ports = ports.choose(wanted)
        kept.shards = self.shards = self.options.shards or kept.shards or DEFAULT_SHARDS
        self.state.keep(kept)
        engines = await self._engines(kept.ports)
        environment: dict[str, str] = {}
        for engine in engines:
            self.supervisor.add_engine(engine)
            self.urls[engine.name] = engine.address
            environment |= engine.environment
        self.urls["gateway"] = f"http://{ports.LOOPBACK}:{kept.ports['gateway']}"
        gateway_port = kept.ports["gateway"]
        for command in services.commands(
            self._names, self.options, self.state, self.shards, gateway_port, environment
        ):
            self.supervisor.add_service(command)

    @staticmethod
    def _asked(port: int) -> int:
        if port and not ports.is_free(port):
            raise ConfigError(f"port: {port}, expected a free port on {ports.LOOPBACK}")
        return port

    async def _engines(self, chosen: dict[str, int]) -> list[Engine]:
        credentials = self.state.credentials()
        operator = self.state.nats_user(OPERATOR)
        nats = NatsEngine(self.state, operator, chosen["nats"], chosen["nats_monitor"], self.shards)
        self.urls["nats monitor"] = nats.monitor
        engines: list[Engine] = [nats, PostgresEngine(self.state, credentials, chosen["postgres"])]
        redis = RedisEngine(self.state, credentials, chosen["redis"])
        missing = await redis.missing()
        if missing:
            self.notes.append(f"no Redis: {missing}; limits and caches live in each process's memory")
        else:
            engines.append(redis)
        return engines

    @property
    def services(self) -> int:
        """How many processes of services there are."""
        return sum(child.kind == "service" for child in self.supervisor.children)

    def _record(self) -> None:
        """Write down what runs, for the other commands."""
        process = psutil.Process()
        supervisor = RunningProcess(
            name="supervisor", kind="supervisor", pid=os.getpid(), created=process.create_time()
        )
        settings: dict[str, str | int] = {
            "data": str(self.options.data),
            "speed": "max" if self.options.speed is None else str(self.options.speed),
            "shards": self.shards,
            "replicas": self.options.replicas,
        }
        self.state.set_run(
            Run(
                supervisor=supervisor,
                started=self.started.isoformat(),
                urls=self.urls,
                settings=settings,
                processes=self.supervisor.running(),
            )
        )

    async def connect(self) -> Bus:
        """A connection to the stack's NATS."""
        return await connect(self.state, self.urls["nats"], self.shards)

    async def race(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of some work, as long as the processes live (see `Supervisor.race`)."""
        return await self.supervisor.race(work)

    def versions(self) -> dict[str, str]:
        """The engines' versions, as they said themselves."""
        return {child.name: child.version for child in self.supervisor.children if child.kind == "engine"}


async def connect(state: State, url: str, shards: int) -> Bus:
    """A connection to the NATS of the stack on a state folder."""
    # Standard output belongs to the command's answer.
    structlog.configure(logger_factory=telemetry.standard_error_logger)
    operator = state.nats_user(OPERATOR)
    settings = Settings(
        nats_url=url,
        nats_user=operator.user,
        nats_password=operator.password,
        nats_ca="",
        nats_cert="",
        nats_key="",
        shards=shards,
    )
    return await Bus.connect(settings, "heliograph")
