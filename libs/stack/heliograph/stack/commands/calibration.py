"""`heliograph calibration`: what a confidence has been worth, by strategy."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from heliograph.common.bus import Bus
from heliograph.stack.commands.connection import connected
from heliograph.stack.commands.interrupt import until_interrupted
from heliograph.stack.state import DEFAULT, State
from heliograph.stack.terminal import wide

SUBJECT = "query.tracker.calibration"
WITHIN_S = 30.0
INTERRUPTED = 130
BAR = 30
"""Characters of a full bar, for a win rate of 100 %."""


def calibration(
    *,
    strategy: Annotated[str | None, Parameter(help="Only this strategy, e.g. default@1.")] = None,
    json: Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")] = False,
    state: Annotated[
        Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")
    ] = None,
) -> int:
    """Show the calibration in use: what it learned from, its scores, what was foretold and what came."""
    found: list[dict[str, Any]] = []
    if asyncio.run(until_interrupted(_ask(State(state or DEFAULT), strategy, found))):
        return INTERRUPTED
    if json:
        sys.stdout.write(msgspec.json.encode({"calibrations": found}).decode() + "\n")
    else:
        show(wide(), found)
    return 0


async def _ask(state: State, strategy: str | None, found: list[dict[str, Any]]) -> None:
    async with connected(state) as bus:
        found += await collect(bus, strategy)


async def collect(bus: Bus, strategy: str | None) -> list[dict[str, Any]]:
    """The calibrations in use, one a strategy.

    Raises:
        InputError: the tracker refuses the query.
        UnavailableError: no tracker answers in time, or its store is away.
    """
    answer = await bus.request(SUBJECT, {"strategy": strategy}, timeout=WITHIN_S)
    calibrations: list[dict[str, Any]] = answer["calibrations"]
    return calibrations


def show(console: Console, calibrations: list[dict[str, Any]]) -> None:
    """The scores and the reliability of each."""
    if not calibrations:
        console.print("no calibration yet: it takes 100 signals that have ended")
    for one in calibrations:
        own = f", {one['symbols']} symbols with a curve of their own" if one["symbols"] else ""
        console.print(
            f"[b]{one['strategy']}[/b]  version {one['version']} of {one['trained']}, "
            f"from {one['outcomes']:,} outcomes{own}, {one['refused']} candidates refused since"
        )
        scores = Table("", "signals", "Brier", "ECE", "log loss", box=None, padding=(0, 2))
        for where, figures in (("newest outcomes", one["trial"]), ("as published", one["published"])):
            for of in ("raw", "candidate", "calibrated"):
                if figures.get(of):
                    scores.add_row(f"{where}, {_name(of)}", *_scores(figures[of]))
        console.print(scores)
        console.print(_reliability((one["published"]["calibrated"] or one["trial"]["candidate"])["bins"]))


def _name(of: str) -> str:
    return "raw" if of == "raw" else "calibrated"


def _scores(figures: dict[str, Any]) -> list[str]:
    return [f"{figures['count']:,}", *(f"{figures[name]:.4f}" for name in ("brier", "ece", "log_loss"))]


def _reliability(bins: list[dict[str, Any]]) -> Table:
    """What was foretold and what came, bin by bin."""
    table = Table("foretold", "signals", "won", "", box=None, padding=(0, 2))
    for one in bins:
        if one["count"]:
            bar = "━" * round(BAR * one["win_rate"] / 100)
            table.add_row(f"{one['forecast']:.1f} %", f"{one['count']:,}", f"{one['win_rate']:.1f} %", bar)
    return table
