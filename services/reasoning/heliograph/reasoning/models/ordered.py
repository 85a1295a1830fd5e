"""Several providers in their order: the second joins when the first is slow or has failed."""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from heliograph.common import metrics
from heliograph.common.clock import Clock
from heliograph.reasoning.models.calls import ProviderCalls
from heliograph.reasoning.models.port import Answer, Prompt, Refusal

DEADLINE_S = 10.0


class OrderedModels:
    """Asks providers in their order, within one deadline; the first successful answer wins.

    The second one is asked when the first has failed, or has not answered within its p95 (a hedge: a paid
    call more); each further one only when all before it have failed. With `at_once` the first two are asked
    together, which doubles the cost.
    """

    def __init__(
        self,
        calls: Sequence[ProviderCalls],
        clock: Clock,
        *,
        deadline_s: float = DEADLINE_S,
        at_once: bool = False,
    ) -> None:
        self.calls = calls
        self._clock = clock
        self._deadline_s = deadline_s
        self._first = 2 if at_once else 1
        self._leaving: set[asyncio.Task[Answer | Refusal]] = set()

    async def ask(self, prompt: Prompt) -> Answer | Refusal:
        """The first successful answer, within the deadline; never raises for what a provider does."""
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._deadline_s):
                found = await self._race(prompt, began + self._deadline_s)
        except TimeoutError:
            return Refusal(reason="timeout", detail=f"no answer within {self._deadline_s:g} s")
        if isinstance(found, Answer):
            return msgspec.structs.replace(found, latency_s=self._clock.monotonic() - began)
        return found

    async def close(self) -> None:
        """Wait until what was given up has settled its cost."""
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def _race(self, prompt: Prompt, deadline: float) -> Answer | Refusal:
        waiting = list(self.calls)
        running: set[asyncio.Task[Answer | Refusal]] = set()
        last = Refusal(reason="no_key", detail="no provider")
        try:
            for _ in range(min(self._first, len(waiting))):
                self._start(waiting, running, prompt, deadline)
            hedge_s = self.calls[0].latency.p95() if self._first == 1 and waiting else None
            while running:
                done, running = await asyncio.wait(
                    running, timeout=hedge_s, return_when=asyncio.FIRST_COMPLETED
                )
                hedge_s = None
                for task in done:
                    found = task.result()
                    if isinstance(found, Answer):
                        return found
                    last = found
                if not done:
                    metrics.MODEL_HEDGES.labels(waiting[0].provider.name).inc()
                if waiting and not (done and running):
                    self._start(waiting, running, prompt, deadline)
            return last
        finally:
            self._give_up(running)

    def _start(
        self,
        waiting: list[ProviderCalls],
        running: set[asyncio.Task[Answer | Refusal]],
        prompt: Prompt,
        deadline: float,
    ) -> None:
        running.add(asyncio.create_task(waiting.pop(0).ask(prompt, deadline)))

    def _give_up(self, tasks: Iterable[asyncio.Task[Answer | Refusal]]) -> None:
        """Cancel the losers; nobody waits for them, but their cost is still counted."""
        for task in tasks:
            task.cancel()
            self._leaving.add(task)
            task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[Answer | Refusal]) -> None:
        self._leaving.discard(task)
        if not task.cancelled():
            task.exception()
