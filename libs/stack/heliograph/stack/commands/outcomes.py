"""`heliograph outcomes`: what became of the signals, over all or by one of their properties."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from heliograph.common.bus import Bus
from heliograph.stack.commands.connection import connected
from heliograph.stack.commands.interrupt import until_interrupted
from heliograph.stack.state import DEFAULT, State
from heliograph.stack.terminal import wide

SUBJECT = "query.tracker.statistics"
WITHIN_S = 60.0
INTERRUPTED = 130
COLUMNS = (
    "signals",
    "open",
    "wins",
    "losses",
    "expired",
    "win rate",
    "coverage",
    "profit factor",
    "net %",
    "mean R",
)
By = Literal["all", "symbol", "strategy", "regime", "action", "bucket"]


def outcomes(
    *,
    by: Annotated[By, Parameter(help="What to group by; `bucket` is the confidence's.")] = "all",
    symbol: Annotated[str | None, Parameter(help="Only this symbol, e.g. AAPL or BRK.B.")] = None,
    strategy: Annotated[str | None, Parameter(help="Only this strategy, e.g. default@1.")] = None,
    limit: Annotated[int, Parameter(help="Groups at most, the largest first.")] = 30,
    json: Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")] = False,
    state: Annotated[
        Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")
    ] = None,
) -> int:
    """Show what became of the signals: wins, losses, expired, and what they came to after costs."""
    query: dict[str, object] = {"by": by, "symbol": symbol, "strategy": strategy, "limit": limit}
    found: list[dict[str, Any]] = []
    if asyncio.run(until_interrupted(_ask(State(state or DEFAULT), query, found))):
        return INTERRUPTED
    if json:
        sys.stdout.write(msgspec.json.encode({"groups": found}).decode() + "\n")
    else:
        show(wide(), found)
    return 0


async def _ask(state: State, query: dict[str, object], found: list[dict[str, Any]]) -> None:
    async with connected(state) as bus:
        found += await collect(bus, query)


async def collect(bus: Bus, query: dict[str, object]) -> list[dict[str, Any]]:
    """The groups.

    Raises:
        InputError: the tracker refuses the query.
        UnavailableError: no tracker answers in time, or its store is away.
    """
    answer = await bus.request(SUBJECT, query, timeout=WITHIN_S)
    groups: list[dict[str, Any]] = answer["groups"]
    return groups


def show(console: Console, groups: list[dict[str, Any]]) -> None:
    """One line a group."""
    table = Table("", box=None, padding=(0, 2))
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for group in groups:
        counts = [f"{group[name]:,}" for name in ("signals", "open", "wins", "losses", "expired")]
        figures = [
            _shown(group["win_rate"], "{:.1%}"),
            _shown(group["coverage"], "{:.1%}"),
            _shown(group["profit_factor"], "{:.2f}"),
            _shown(group["pnl_net"], "{:+.2f}"),
            _shown(group["r_multiple"], "{:+.2f}"),
        ]
        table.add_row(group["key"], *counts, *figures)
    console.print(table if groups else "no signals")


def _shown(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
