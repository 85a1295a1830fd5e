"""`heliograph rebuild`: has ClickHouse made again from the archive and the streams."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from heliograph.stack.commands.asking import answer, request

WITHIN_S = 3600.0


def rebuild(
    *,
    reset: Annotated[
        bool,
        Parameter(negative="", help="Empty the tables first, after all of them was archived and verified."),
    ] = False,
    json: Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")] = False,
    state: Annotated[
        Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")
    ] = None,
) -> int:
    """Bring back into ClickHouse whatever it lacks of the archive and of the streams."""
    ask = request("query.archiver.rebuild", {"reset": reset}, WITHIN_S)
    return answer(state, ask, _show, as_json=json)


def _show(console: Console, said: dict[str, Any]) -> None:
    table = Table("table", "before", "from the archive", "from the streams", "now", box=None)
    for name, before in said["before"].items():
        numbers = (before, said["archived"][name], said["streamed"][name], said["after"][name])
        table.add_row(name, *(f"{number:,}" for number in numbers))
    console.print(table)
    if said["unread"]:
        console.print(f"{said['unread']:,} messages fit no table; see DEAD")
