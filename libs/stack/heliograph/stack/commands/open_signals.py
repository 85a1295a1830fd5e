"""`heliograph signals open`: the signals that have not ended, and what they have come to so far."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from heliograph.common.bus import Bus
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError
from heliograph.common.standing import MOST, Position, Standing, standing
from heliograph.common.subjects import check_symbol
from heliograph.stack.commands.asking import answer

COLUMNS = ("entry", "stop", "target", "last", "R", "%", "best", "worst", "bars")


def open_signals(
    *,
    symbol: Annotated[str | None, Parameter(help="Only this symbol, e.g. AAPL or BRK.B.")] = None,
    limit: Annotated[int, Parameter(help=f"Signals one by one, the newest first; at most {MOST}.")] = 30,
    json: Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")] = False,
    state: Annotated[
        Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")
    ] = None,
) -> int:
    """Show the signals that have not ended: what each, and all together, came to until the last bar."""
    if symbol is not None:
        check_symbol(symbol)
    if not 1 <= limit <= MOST:
        raise InputError(f"limit: {limit}, expected 1 to {MOST}")

    async def ask(bus: Bus) -> Standing:
        return await standing(bus, symbol=symbol, limit=limit)

    return answer(state, ask, show, as_json=json)


def show(console: Console, found: Standing) -> None:
    """One line a signal, and the sums."""
    if found.missing_shards:
        missing = ", ".join(map(str, found.missing_shards))
        console.print(f"[yellow]shards {missing}: their owner does not answer[/]", highlight=False)
    if not found.total:
        console.print("no signal is open")
        return
    table = Table("given", "signal", "", box=None, padding=(0, 2, 0, 0))
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for each in found.positions:
        table.add_row(*line(each))
    console.print(table)
    console.print(
        f"{found.total:,} open, {found.ahead:,} ahead; {found.r_multiple:+.2f} R in all, "
        f"{found.pnl / found.total:+.3f} % each on the mean, before costs",
        highlight=False,
        soft_wrap=True,
    )


def line(position: Position) -> tuple[str, ...]:
    """The cells of one signal."""
    given = datetime.fromtimestamp(position.opened / NANOSECONDS, UTC).strftime("%Y-%m-%d %H:%M")
    prices = (f"{price:g}" for price in (position.entry, position.stop, position.target, position.last))
    so_far = (position.r_multiple, position.pnl, position.best, position.worst)
    return (
        given,
        f"{escape(position.symbol)} {position.signal}",
        position.action,
        *prices,
        *(f"{round(value, 2) + 0.0:+.2f}" for value in so_far),
        f"{position.bars:,}",
    )
