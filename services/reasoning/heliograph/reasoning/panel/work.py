"""What one request to the panel takes: the sources, the models, the run, and what is published of it."""

import asyncio
import contextlib
import os
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import structlog
from redis.asyncio import Redis

from heliograph.common import metrics, subjects, telemetry
from heliograph.common.bus import Bus, Message
from heliograph.common.clock import NANOSECONDS, Clock
from heliograph.common.errors import UnavailableError
from heliograph.common.events import Verdict, encode
from heliograph.common.ids import derive_id
from heliograph.common.spend.keys import Keys
from heliograph.common.spend.spend import Spend
from heliograph.common.spend.usage import Usage
from heliograph.reasoning.models.port import Models
from heliograph.reasoning.panel.agents import portfolio_manager
from heliograph.reasoning.panel.answers import Answers, MemoryAnswers, RedisAnswers
from heliograph.reasoning.panel.asking import Asking, Pending
from heliograph.reasoning.panel.opinion import ending
from heliograph.reasoning.panel.panel import MANAGERS, MARKET, Panel, Step
from heliograph.reasoning.panel.records.edgar import Edgar
from heliograph.reasoning.panel.records.folder import Folder
from heliograph.reasoning.panel.records.known import Source
from heliograph.reasoning.panel.records.metered import Metered, meter
from heliograph.reasoning.panel.records.providers import FinancialDatasets, Fmp
from heliograph.reasoning.panel.records.sources import Again, Combined, Remembered
from heliograph.reasoning.panel.request import (
    Reply,
    Request,
    checked,
    day_of,
    decode,
    event_time,
    newest_of,
    progress_event,
    reply,
    task_of,
    verdicts,
    votes,
)
from heliograph.reasoning.panel.runs import Run, Runs
from heliograph.reasoning.panel.settings import PanelSettings, paid

RENEW_EVERY_S = 60.0
KNOWN_WITHIN_S = 5.0
"""Whoever begins a run waits so long to be told that a ticker is unknown."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class PanelWork:
    """Runs of the panel, from a request's JSON to its answer.

    Args:
        models: language models, or None for rules alone.
        redis: where answers are kept for all replicas, or None for this process's memory.
        spend: keeps the budgets of paid data; None where nobody counts them.
    """

    def __init__(
        self,
        settings: PanelSettings,
        bus: Bus,
        clock: Clock,
        models: Models | None,
        redis: Redis | None,
        usage: Usage | None = None,
        spend: Spend | None = None,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._clock = clock
        self._models = models
        self._usage = usage
        self._online = _online(settings, clock, spend)
        offline: list[Source] = [Folder(Path(settings.panel_data))] if settings.panel_data else []
        # The providers before the folder, which may be older.
        self._remembered = Remembered(Combined([*self._online, *offline]), clock)
        self._source = Again(self._remembered)
        memory = MemoryAnswers(settings.panel_answers)
        self._answers: Answers = memory if redis is None else RedisAnswers(redis, memory)
        self._pending: Pending = {}
        self.runs = Runs(redis, clock)
        self._renewing = asyncio.create_task(self._renew())

    async def close(self) -> None:
        """Give up the questions that are under way, and close connections."""
        under_way = (*self._pending.values(), self._renewing)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for provider in self._online:
            await provider.close()

    async def _renew(self) -> None:
        """Have the records of popular tickers at hand before somebody asks."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            await self._remembered.renew()

    async def accept(self, body: bytes) -> tuple[Request, Run]:
        """A request that can be run, with its run, which has begun.

        Raises:
            InputError: the request is wrong, or its records are, or there are none; where the sources take
                longer to say so, or are away, the run says it.
        """
        request, now = decode(body), self._clock.now_ns()
        agents = checked(request, day_of(now))
        with contextlib.suppress(TimeoutError, UnavailableError):
            async with asyncio.timeout(KNOWN_WITHIN_S):
                await asyncio.gather(newest_of(request, self._remembered), self._remembered.records(MARKET))
        begun = Run(
            run=request.run or derive_id("run", body.decode(), now),
            tickers=request.tickers,
            agents=agents,
            total=len(request.tickers) * (len(agents) + MANAGERS),
            started_ts=now,
        )
        await self.runs.put(begun)
        return request, begun

    async def analyze(self, request: Request, begun: Run, traceparent: str | None = None) -> Reply:
        """Run the panel on an accepted request; verdicts and votes are stored when it returns.

        Raises:
            InputError: a record cannot be read.
            UnavailableError: a source or the bus does not answer.
        """
        asking = self._asking()
        try:
            answer = await self._run(request, begun, asking, traceparent)
        except BaseException as error:
            await self.runs.put(self._ended(begun, asking, "failed", f"{error}" or type(error).__name__))
            raise
        await self.runs.put(self._ended(begun, asking, "done"))
        return answer

    def _ended(
        self, begun: Run, asking: Asking | None, state: Literal["done", "failed"], error: str = ""
    ) -> Run:
        now = self._clock.now_ns()
        return msgspec.structs.replace(
            begun,
            done=begun.total if state == "done" else begun.done,
            state=state,
            ended_ts=now,
            seconds=(now - begun.started_ts) / NANOSECONDS,
            calls=asking.calls if asking else 0,
            cost=asking.cost if asking else 0.0,
            error=error,
        )

    async def _run(
        self, request: Request, begun: Run, asking: Asking | None, traceparent: str | None
    ) -> Reply:
        began = self._clock.monotonic()
        now, run = begun.started_ts, begun.run
        task = await task_of(request, self._source, day_of(now))
        ts = event_time(task.asof, now)
        named = {"heliograph.run": run, "heliograph.tickers": ", ".join(task.tickers)}
        with telemetry.span("analyze", kind="server", parent=traceparent, attributes=named) as span:
            span.keep()
            headers = {"traceparent": span.traceparent}
            analysis = await self._panel(asking).run(task, partial(self._tell, run, ts, headers))
            found = verdicts(run, ts, analysis)
            await self._bus.publish(self._messages(run, found, headers))
        seconds = self._clock.monotonic() - began
        metrics.PANEL_SECONDS.observe(seconds)
        for view in (view for views in analysis.views.values() for view in views):
            metrics.PANEL_AGENTS.labels(ending(view)).inc()
        calls, cost = (asking.calls, asking.cost) if asking else (0, 0.0)
        return reply(run, analysis, found, seconds=seconds, calls=calls, cost=cost)

    def _asking(self) -> Asking | None:
        if self._models is None:
            return None
        wait_s = self._settings.panel_model_wait_s
        return Asking(self._models, self._answers, wait_s, self._pending, self._usage)

    def _panel(self, asking: Asking | None) -> Panel:
        return Panel(
            self._source,
            asking,
            without_model=self._settings.panel_without_model,
            manager_asks=self._settings.panel_manager_asks,
        )

    async def _tell(self, run: str, ts: int, headers: dict[str, str], step: Step) -> None:
        """Say that an agent has ended. Nobody waits for it to be stored: the verdict carries the same."""
        event = progress_event(run, ts, step)
        await self._bus.client.publish(
            subjects.analysis(run, step.agent), encode(event), headers={**headers, "Nats-Msg-Id": event.id}
        )

    def _messages(self, run: str, found: list[Verdict], headers: dict[str, str]) -> list[Message]:
        """The verdicts, and the votes that they are."""
        subject = subjects.analysis(run, portfolio_manager.NAME)
        batches = votes(run, found, self._bus.settings.shards)
        return [
            *(Message(subject=subject, data=encode(v), msg_id=v.id, headers=headers) for v in found),
            *(
                Message(subject=f"input.votes.{shard}", data=encode(batch), msg_id=batch.id, headers=headers)
                for shard, batch in batches.items()
            ),
        ]


def _online(
    settings: PanelSettings, clock: Clock, spend: Spend | None
) -> list[Edgar | FinancialDatasets | Fmp]:
    """The providers of the settings; those that need a key give nothing without one."""
    folder = Path(settings.keys_folder) if settings.keys_folder else None
    keys = Keys(clock, os.environ, folder, settings.keys_secret)
    datasets, fmp = (
        None if spend is None else Metered(meter(name, limits), spend) for name, limits in paid(settings)
    )
    found: list[Edgar | FinancialDatasets | Fmp] = [
        FinancialDatasets(keys, root=settings.financial_datasets_url, clock=clock, metered=datasets),
        Fmp(keys, root=settings.fmp_url, metered=fmp),
    ]
    return [Edgar(settings.sec_user_agent, clock=clock), *found] if settings.sec_user_agent else found
