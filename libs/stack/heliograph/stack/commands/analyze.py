"""`heliograph analyze`: has the analyst panel judge some tickers, with its progress."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from nats.aio.msg import Msg
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from heliograph.common import subjects
from heliograph.common.clock import SYSTEM_CLOCK, member_id
from heliograph.common.errors import InputError
from heliograph.common.events import AgentProgress, Prediction, Verdict
from heliograph.stack.commands.connection import connected
from heliograph.stack.commands.interrupt import until_interrupted
from heliograph.stack.leftovers import alive
from heliograph.stack.options import sample_folder
from heliograph.stack.state import DEFAULT, State

SUBJECT = "analyze"
WITHIN_S = 120.0
LAST_STEPS_S = 2.0
INTERRUPTED = 130
HELD = '{"cash": 5000, "positions": {"AAPL": {"long": 10}}}'
COLOURS = {"bullish": "green", "bearish": "red", "neutral": "yellow", "abstain": "dim"}
MARKS = {"done": "[green]✓[/]", "abstained": "[dim]–[/]", "started": "[dim]…[/]"}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to; see `heliograph.reasoning.panel.request.Reply`."""

    run: str
    asof: str
    seconds: float
    calls: int
    cost: float
    verdicts: list[Verdict]
    limits: dict[str, list[str]]
    missing: dict[str, list[str]]


Tell = Callable[[AgentProgress], Awaitable[None]]


def analyze(
    ticker: str,
    *tickers: str,
    from_: Annotated[
        str | None,
        Parameter(name="--from", help="First day of news and insider trades. Default: a year earlier."),
    ] = None,
    to: Annotated[
        str | None, Parameter(help="Day of the analysis: nothing later is known. Default: the data's newest.")
    ] = None,
    agents: Annotated[
        str | None, Parameter(help="Analysts, e.g. ben_graham,technicals. Default: all.")
    ] = None,
    portfolio: Annotated[
        Path | None,
        Parameter(
            help="JSON file of what is held: cash, margin_requirement, positions. Default: 100,000 in cash."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        Parameter(help="Folder of bars and `fundamentals`. Default: the running stack's, or the sample."),
    ] = None,
    json: Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")] = False,
    state: Annotated[
        Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")
    ] = None,
) -> int:
    """Have seventeen agents judge companies: by rules, and by models in a running stack that has keys.

    Args:
        ticker: A ticker, e.g. SNOW; more may follow.
        tickers: More tickers.
    """
    body: dict[str, Any] = {"tickers": [ticker, *tickers]}
    body |= {name: _day(name, text) for name, text in (("from", from_), ("to", to)) if text is not None}
    if agents is not None:
        body["agents"] = [name.strip() for name in agents.split(",") if name.strip()]
    if portfolio is not None:
        body["portfolio"] = _held(portfolio)
    console = Console(stderr=json)
    found: list[Answer] = []

    async def tell(step: AgentProgress) -> None:
        if not json:
            told = f"{step.done:>3}/{step.total} {step.ticker:<6} {step.agent:<22} {escape(step.detail)}"
            console.print(f"{MARKS[step.status]} {told}", highlight=False, soft_wrap=True)

    async def work() -> None:
        folder = State(state or DEFAULT)
        run = folder.run()
        if data is None and run is not None and alive(run.supervisor):
            found.append(await _ask(folder, body, tell))
        else:
            found.append(await _here(data or sample_folder(), body, tell))

    if asyncio.run(until_interrupted(work())):
        return INTERRUPTED
    if json:
        sys.stdout.write(msgspec.json.encode(found[0]).decode() + "\n")
    else:
        show(console, found[0])
    return 0


def _day(name: str, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InputError(f"{name}: {text!r}, expected a day such as 2025-05-30") from None


def _held(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"portfolio: {error} in {file}, expected JSON such as {HELD}") from None


async def _ask(state: State, body: dict[str, Any], tell: Tell) -> Answer:
    """Through the running stack, with its models and its record."""
    body["run"] = run = member_id() + member_id()
    ended = asyncio.Event()

    async def follow(message: Msg) -> None:
        event = msgspec.json.decode(message.data, type=AgentProgress | Verdict)
        if isinstance(event, AgentProgress):
            await tell(event)
            if event.done == event.total:
                ended.set()

    async with connected(state) as bus:
        await bus.client.subscribe(subjects.analysis(run, "*"), cb=follow)
        await bus.settled()
        answer = msgspec.convert(await bus.request(SUBJECT, body, timeout=WITHIN_S), Answer)
        with contextlib.suppress(TimeoutError):  # the last steps may still be on their way
            await asyncio.wait_for(ended.wait(), LAST_STEPS_S)
        return answer


async def _here(folder: Path, body: dict[str, Any], tell: Tell) -> Answer:
    """In this process, by rules alone: money for models is counted by a stack only."""
    # The panel's imports are of this one command.
    from heliograph.reasoning.panel import request as panel_request  # noqa: PLC0415
    from heliograph.reasoning.panel.panel import Panel, Step  # noqa: PLC0415
    from heliograph.reasoning.panel.records.folder import Folder  # noqa: PLC0415
    from heliograph.reasoning.panel.records.sources import Remembered  # noqa: PLC0415

    began, now = SYSTEM_CLOCK.monotonic(), SYSTEM_CLOCK.now_ns()
    source = Remembered(Folder(folder), SYSTEM_CLOCK)
    asked = panel_request.decode(msgspec.json.encode(body))
    task = await panel_request.task_of(asked, source, panel_request.day_of(now))
    run, ts = member_id() + member_id(), panel_request.event_time(task.asof, now)

    async def step(ended: Step) -> None:
        await tell(panel_request.progress_event(run, ts, ended))

    analysis = await Panel(source).run(task, step)
    verdicts = panel_request.verdicts(run, ts, analysis)
    seconds = SYSTEM_CLOCK.monotonic() - began
    reply = panel_request.reply(run, analysis, verdicts, seconds=seconds, calls=0, cost=0.0)
    return msgspec.convert(msgspec.to_builtins(reply), Answer)


def show(console: Console, answer: Answer) -> None:
    """A table for each ticker, and what it comes to."""
    for verdict in answer.verdicts:
        table = Table("analyst", "view", "confidence", "why", box=None, padding=(0, 2))
        for said in verdict.predictions or []:
            view = f"[{COLOURS[said.signal]}]{said.signal}[/]"
            table.add_row(said.agent, view, _confidence(said), _why(said))
        console.print()
        console.print(f"[bold]{verdict.ticker}[/] on {answer.asof}", highlight=False)
        console.print(table)
        missing = answer.missing.get(verdict.ticker)
        if missing:
            console.print(f"[dim]not known: {', '.join(missing)}[/]", highlight=False, soft_wrap=True)
        steps = "; ".join(answer.limits.get(verdict.ticker, []))
        console.print(f"[dim]risk: {steps}[/]", highlight=False, soft_wrap=True)
        told = escape(str(verdict.reason))
        console.print(f"[bold]{verdict.action} {verdict.quantity}[/]  {told}", highlight=False)
    paid = f", {answer.calls} calls for ${answer.cost:.4f}" if answer.calls else ""
    console.print(f"\n[dim]run {answer.run} in {answer.seconds:.2f} s{paid}[/]", highlight=False)


def _confidence(said: Prediction) -> str:
    return "" if said.signal == "abstain" else f"{100 * said.confidence:.0f} %"


def _why(said: Prediction) -> str:
    by = "" if said.by == "rules" else f" [dim]({said.by})[/]"
    return f"{escape(said.reasoning)}{by}" + (f" [dim]{escape(said.note)}[/]" if said.note else "")
