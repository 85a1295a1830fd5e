"""The panel behind the bus: takes requests to `analyze`, many at once, and answers them."""

import asyncio
import contextlib
import importlib
from typing import TYPE_CHECKING, Annotated

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from heliograph.common import subjects
from heliograph.common.answering import answering
from heliograph.common.bus import Bus
from heliograph.common.clock import Clock
from heliograph.common.errors import InputError
from heliograph.common.events import AgentProgress, Verdict
from heliograph.common.spend.spend import Spend
from heliograph.common.spend.usage import Usage
from heliograph.reasoning.group import GROUP
from heliograph.reasoning.models.port import Models
from heliograph.reasoning.panel.runs import Run
from heliograph.reasoning.panel.settings import PanelSettings
from heliograph.reasoning.panel.shortening import shortened

if TYPE_CHECKING:
    from heliograph.reasoning.panel.work import PanelWork

SUBJECT = "analyze"
STREAM = "ANALYSIS"

_event: msgspec.json.Decoder[AgentProgress | Verdict] = msgspec.json.Decoder(AgentProgress | Verdict)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class RunsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The newest runs of the last seven days."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One run, with the progress of its agents and its verdicts."""

    run: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9]{1,40}$")]


class PanelService:
    """Runs of the panel for whoever asks on the bus; one replica takes each request.

    Args:
        models: language models, or None for rules alone.
        redis: where answers are kept for all replicas, or None for this process's memory; closed at the stop.
    """

    def __init__(
        self,
        settings: PanelSettings,
        bus: Bus,
        clock: Clock,
        models: Models | None = None,
        redis: Redis | None = None,
        usage: Usage | None = None,
        spend: Spend | None = None,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._clock = clock
        self._models = models
        self._redis = redis
        self._usage = usage
        self._spend = spend
        self._turn = asyncio.Semaphore(settings.panel_runs)
        self._runs: set[asyncio.Task[None]] = set()
        self._making = asyncio.Lock()
        self._work: PanelWork | None = None
        self.answered = 0
        """Requests that were answered since the start, those included that were refused."""

    async def start(self) -> None:
        """Answer from now on."""
        await self._bus.client.subscribe(SUBJECT, queue=GROUP, cb=self._take)
        await self._bus.respond("query.reasoning.start", self._begin, queue=GROUP)
        for name, answer in (
            ("runs", answering(RunsQuery, self._newest)),
            ("run", answering(RunQuery, self._told)),
        ):
            await self._bus.respond(f"query.reasoning.{name}", answer, queue=GROUP)

    async def stop(self) -> None:
        """End the runs that are under way, unanswered, and close connections."""
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)
        if self._work is not None:
            await self._work.close()
        if self._redis is not None:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._redis.aclose()

    async def _take(self, message: Msg) -> None:
        # A handler that waits would hold up the next request.
        self._keep(asyncio.create_task(self._answer(message)))

    def _keep(self, run: asyncio.Task[None]) -> None:
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)

    async def _answer(self, message: Msg) -> None:
        try:
            work = await self._started()
            request, begun = await work.accept(message.data)
            parent = (message.headers or {}).get("traceparent")
            async with self._turn:
                data = msgspec.json.encode(await work.analyze(request, begun, parent))
        except Exception as error:
            # Whoever asks is told; the next request must be taken all the same.
            await log.awarning("analyze failed", error=repr(error))
            data = msgspec.json.encode({"error": f"{error}", "type": type(error).__name__})
        self.answered += 1
        try:
            await message.respond(data)
        except NatsError as error:
            await log.awarning("answer not sent", subject=SUBJECT, error=repr(error))

    async def _begin(self, body: bytes) -> bytes:
        """Begin a run and say so at once; how it goes on stands in ANALYSIS."""
        work = await self._started()
        request, begun = await work.accept(body)

        async def run() -> None:
            try:
                async with self._turn:
                    await work.analyze(request, begun)
            except Exception as error:
                await log.awarning("run failed", run=begun.run, error=repr(error))

        self._keep(asyncio.create_task(run()))
        return msgspec.json.encode(begun)

    async def _newest(self, query: RunsQuery) -> dict[str, list[Run]]:
        """The newest runs."""
        runs = (await self._started()).runs
        return {"runs": [await self._up_to_now(run) for run in await runs.newest(query.limit)]}

    async def _up_to_now(self, run: Run) -> Run:
        """A run with the agents that have ended meanwhile, wherever it runs."""
        if run.state != "running":
            return run
        last = await self._bus.last(STREAM, subjects.analysis(run.run, "*"))
        step = None if last is None else _event.decode(last.data)
        done = step.done if isinstance(step, AgentProgress) and isinstance(step.done, int) else run.done
        return msgspec.structs.replace(run, done=done)

    async def _told(self, query: RunQuery) -> dict[str, object]:
        """A run with all that was told of it."""
        run = await (await self._started()).runs.get(query.run)
        if run is None:
            raise InputError(f"run: {query.run!r}, expected one of the last seven days")
        upto = await self._bus.last_seq(STREAM)
        subject = subjects.analysis(run.run, "*")
        told = [_event.decode(m.data) async for m in self._bus.read(STREAM, subject, after=0, upto=upto)]
        return msgspec.structs.asdict(await self._up_to_now(run)) | {
            "progress": [event for event in told if isinstance(event, AgentProgress)],
            "verdicts": [shortened(event) for event in told if isinstance(event, Verdict)],
        }

    async def _started(self) -> "PanelWork":
        """The work, made at the first request: its imports would hold up the start of every process."""
        async with self._making:
            if self._work is None:
                work = await asyncio.to_thread(importlib.import_module, "heliograph.reasoning.panel.work")
                self._work = work.PanelWork(
                    self._settings,
                    self._bus,
                    self._clock,
                    self._models,
                    self._redis,
                    self._usage,
                    self._spend,
                )
            return self._work
