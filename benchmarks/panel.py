"""The panel's 17 agents on two tickers, with a model server of 2 to 3 s a call: `python -m benchmarks.panel`.

Beside it the same calls one after another, and in the fan-out of the peer (analysts at once, each with its
tickers in turn). Ten of the eleven personas ask: of Snowflake one has no value to compare, and abstains. The
models are those of the service with one provider, which is the server, in a process of its own. Beside many
runs at once their calls alone, by the same HTTP client and without a panel: what the machine allows.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import uvloop
from benchmarks.figures import Figure, quantile, show

from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.peak_memory import peak_memory
from heliograph.reasoning.models.build import build
from heliograph.reasoning.models.client import HttpClient
from heliograph.reasoning.models.port import Answer, Models, Prompt, Refusal
from heliograph.reasoning.models.provider import Provider
from heliograph.reasoning.panel.answers import MemoryAnswers
from heliograph.reasoning.panel.asking import Asking
from heliograph.reasoning.panel.opinion import Opinion
from heliograph.reasoning.panel.panel import Analysis, Panel, Task
from heliograph.reasoning.panel.prompts import figures, persona_prompt
from heliograph.reasoning.panel.records.folder import Folder
from heliograph.reasoning.panel.records.known import Records
from heliograph.reasoning.panel.records.sources import Remembered
from heliograph.reasoning.panel.roster import PERSONAS
from heliograph.reasoning.settings import ReasoningSettings

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"
TICKERS = ("SNOW", "SNOW2")
LATENCY = "uniform:2:3"
RUNS = (1, 10, 50)
REPEATS = 5
CALL_WITHIN_S = 60.0
DAY = date(2025, 6, 2)
NEVER_ASKS = "aswath_damodaran"
FAULTS = {"server_error": 0.05, "wrong_schema": 0.03, "cut": 0.02}
"""Together a tenth of the calls."""


class Twins:
    """Snowflake's filings under two tickers."""

    def __init__(self) -> None:
        self._folder = Folder(SAMPLE)

    async def records(self, _: str) -> Records:
        """The same filings whatever the ticker."""
        return await self._folder.records("SNOW")


class Timed:
    """Models, and how long each question took."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self.seconds: list[float] = []
        self.refused = 0

    async def ask(self, prompt: Prompt) -> Answer | Refusal:
        """The answer, its time noted."""
        began = time.perf_counter()
        answer = await self._models.ask(prompt)
        self.seconds.append(time.perf_counter() - began)
        self.refused += isinstance(answer, Refusal)
        return answer


@asynccontextmanager
async def server(**faults: float) -> AsyncIterator[str]:
    """The base address of a model server in a process of its own."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in faults.items()]
    heliograph = Path(sys.executable).with_name("heliograph")
    process = await asyncio.create_subprocess_exec(
        str(heliograph),
        *("model-server", "--port", "0", "--latency", LATENCY, "--json", *options),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield str(json.loads(await process.stdout.readline())["base_url"])
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def models(base_url: str) -> AsyncIterator[Timed]:
    """The service's models with that one provider, and no limit that a measurement would meet."""
    provider = {
        "base_url": base_url,
        "model": "bench",
        "call_price": 0.001,
        "daily_budget": 1_000.0,
        "calls_per_minute": 1_000_000,
    }
    settings = ReasoningSettings(models=["bench"], providers={"bench": provider}, model_deadline_s=30.0)

    async def alone() -> int:
        return 1

    built = build(settings, SYSTEM_CLOCK, alone)
    try:
        yield Timed(built)
    finally:
        await built.close()


def task(number: int) -> Task:
    """A task that no other run has: each has its own day."""
    asof = DAY + timedelta(days=number)
    return Task(tickers=TICKERS, start=asof - timedelta(days=365), asof=asof)


async def run(panel_source: Remembered, timed: Timed, number: int) -> tuple[float, Analysis]:
    """One run of the panel, in seconds."""
    panel = Panel(panel_source, Asking(timed, MemoryAnswers(10_000), 60.0))
    began = time.perf_counter()
    analysis = await panel.run(task(number))
    return time.perf_counter() - began, analysis


async def prompts(source: Remembered, number: int) -> dict[str, list[Prompt]]:
    """The questions of a run, by persona, one a ticker."""
    found: dict[str, list[Prompt]] = {}
    for known in (await Panel(source).load(task(number))).values():
        told = figures(known)
        for name, persona in PERSONAS.items():
            view = persona.analyse(known)
            if isinstance(view, Opinion):
                found.setdefault(name, []).append(persona_prompt(persona, told, view))
    return found


async def in_turn(timed: Timed, asked: list[Prompt]) -> None:
    """The calls one after another."""
    for prompt in asked:
        await timed.ask(prompt)


async def measured(work: Callable[[], Awaitable[Any]]) -> float:
    """Seconds that some work takes."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def ours(source: Remembered, timed: Timed) -> list[Figure]:
    """One run at a time, against its own slowest call."""
    ratios, totals, slowest = [], [], []
    for number in range(REPEATS):
        timed.seconds.clear()
        seconds, _ = await run(source, timed, number)
        totals.append(seconds)
        slowest.append(max(timed.seconds))
        ratios.append(seconds / max(timed.seconds))
    calls = len(timed.seconds)
    return [
        Figure(
            name=f"17 agents × 2 tickers, {calls} calls at once, median of {REPEATS}",
            value=f"{quantile(totals, 0.5):.2f} s",
            beside=f"slowest single call {quantile(slowest, 0.5):.2f} s",
        ),
        Figure(name="… ÷ its slowest call, worst", value=f"{max(ratios):.3f}", goal="≤ 1.1"),
    ]


async def others(source: Remembered, timed: Timed) -> list[Figure]:
    """The same calls in other orders."""
    asked = await prompts(source, REPEATS)
    fan_out = await measured(lambda: asyncio.gather(*(in_turn(timed, own) for own in asked.values())))
    alone = await measured(lambda: in_turn(timed, [p for own in asked.values() for p in own]))
    return [
        Figure(name="… peer's fan-out: analysts at once, tickers in turn", value=f"{fan_out:.2f} s"),
        Figure(name="… one call after another", value=f"{alone:.2f} s"),
    ]


async def many(source: Remembered, timed: Timed, url: str) -> list[Figure]:
    """Several runs at once, each with questions of its own."""
    figures = []
    for index, count in enumerate(RUNS):
        timed.seconds.clear()
        timed.refused = 0
        first, cpu = 100 * (index + 1), time.process_time()
        found = await asyncio.gather(*(run(source, timed, first + n) for n in range(count)))
        cpu = time.process_time() - cpu
        seconds, slowest = [s for s, _ in found], max(timed.seconds)
        asked = [p for n in range(count) for own in (await prompts(source, first + n)).values() for p in own]
        alone, alone_cpu = await bare(url, asked)
        figures += [
            Figure(
                name=f"{count} runs at once, {len(timed.seconds)} calls",
                value=f"median {quantile(seconds, 0.5):.2f} s, slowest {max(seconds):.2f} s",
                beside=f"slowest single call {slowest:.2f} s, {timed.refused} refused",
            ),
            Figure(name="… ÷ its slowest call", value=f"{max(seconds) / slowest:.3f}", goal="≤ 1.1"),
            Figure(
                name="… the calls alone, by the HTTP client without a panel",
                value=f"{alone:.2f} s",
                beside=f"CPU of this process {alone_cpu:.2f} s, with the panel {cpu:.2f} s",
            ),
        ]
    return figures


async def bare(url: str, asked: list[Prompt]) -> tuple[float, float]:
    """Seconds and seconds of CPU of some calls at once, without panel, budgets, retries and caches."""
    provider = Provider(name="bench", base_url=url, model="bench")
    client = HttpClient(SYSTEM_CLOCK)
    cpu = time.process_time()
    calls = [client.call(provider, prompt, "", CALL_WITHIN_S) for prompt in asked]
    seconds = await measured(lambda: asyncio.gather(*calls))
    cpu = time.process_time() - cpu
    await client.close()
    return seconds, cpu


async def failing(source: Remembered) -> list[Figure]:
    """Runs with a tenth of the calls failing."""
    async with server(**FAULTS) as url, models(url) as timed:
        found = [await run(source, timed, 30 + n) for n in range(REPEATS)]
    views = [v for _, analysis in found for own in analysis.views.values() for v in own]
    asked = [v for v in views if v.agent in PERSONAS and v.agent != NEVER_ASKS]
    complete = sum(isinstance(v, Opinion) for v in asked)
    spoken = sum(isinstance(v, Opinion) and not v.note for v in asked)
    return [
        Figure(
            name=f"complete with 10 % of the calls failing, {len(asked)} personas",
            value=f"{100 * complete / len(asked):.1f} %",
            beside=f"{100 * spoken / len(asked):.1f} % by their model, the others by rules and marked so",
            goal="≥ 95 %",
        ),
        Figure(name="… time of a run, slowest", value=f"{max(s for s, _ in found):.2f} s"),
    ]


async def main() -> None:
    """Measure and print."""
    source = Remembered(Twins(), SYSTEM_CLOCK)
    await Panel(source).run(task(0))  # the first one reads and imports
    async with server() as url, models(url) as timed:
        figures = await ours(source, timed)
        figures += await others(source, timed)
        figures += await many(source, timed, url)
    figures += await failing(source)
    held = f"{peak_memory() / 1e6:.0f} MB"
    figures.append(Figure(name="most memory that this process held in all of it", value=held))
    show(f"Panel ({LATENCY} s a call)", figures, "python -m benchmarks.panel")


if __name__ == "__main__":
    uvloop.run(main())  # as every service
