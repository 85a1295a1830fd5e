"""`heliograph ab`: two weight sets on the same bars, and whether the difference can be told from chance."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from heliograph.common.errors import InputError
from heliograph.lab.backtest import Job, run
from heliograph.lab.commands.options import (
    Chunk,
    DataFolder,
    From,
    Json,
    To,
    Workers,
    check_sizes,
)
from heliograph.lab.commands.terminal import number, percent, print_json, progress, wide
from heliograph.lab.compare import Comparison, compare
from heliograph.lab.folder import CHUNK
from heliograph.lab.period import period_of
from heliograph.lab.strategy import live_strategy, read_strategy


def ab(
    folder: DataFolder,
    first: Annotated[Path, Parameter(help="TOML file with a weight set, or `live` for the configured one.")],
    second: Annotated[Path, Parameter(help="The other one.")],
    *,
    from_: From = None,
    to: To = None,
    json: Json = False,
    chunk: Chunk = CHUNK,
    workers: Workers = 1,
) -> int:
    """Run two weight or threshold sets on the same bars and test the difference, week by week.

    "No difference shown" is an answer.
    """
    check_sizes(chunk, workers)
    strategies = [live_strategy() if str(path) == "live" else read_strategy(path) for path in (first, second)]
    names = (strategies[0].name, strategies[1].name)
    if names[0] == names[1]:
        raise InputError(
            f"weights: both are {names[0]}, expected two names or versions: ids derive from them"
        )
    period = period_of(from_, to)
    results = []
    with progress("a/b", "symbols") as report:
        for place, strategy in enumerate(strategies):
            job = Job(folder=folder, strategy=strategy, period=period)
            told = partial(half, report, place)
            results.append(run(job, chunk=chunk, workers=workers, report=told))
    found = compare(results[0], results[1], names)
    if json:
        print_json(found)
    else:
        tell(found)
    return 0


def half(report: Callable[[int, int], None], place: int, done: int, total: int) -> None:
    """Tell the progress of one of two runs as that of both."""
    report(place * total + done, 2 * total)


def tell(found: Comparison) -> None:
    """A comparison for a person."""
    console = wide()
    console.print(f"[bold]{found.verdict}[/]\n", highlight=False)
    table = Table(box=None, padding=(0, 2))
    for title in ("weights", "signals", "won", "lost", "win rate", "profit factor", "mean", "total return"):
        table.add_column(title, justify="left" if title == "weights" else "right")
    for one in (found.a, found.b):
        table.add_row(
            one.strategy,
            f"{one.record.signals:,}",
            f"{one.record.wins:,}",
            f"{one.record.losses:,}",
            percent(one.record.win_rate, 1),
            number(one.record.profit_factor),
            "–" if one.record.mean_net is None else f"{one.record.mean_net:+.3f} %",
            percent(one.total_return),
        )
    console.print(table)
    console.print(f"\n{found.shared:,} signals in both; {found.weeks} weeks with a position", highlight=False)
