"""`heliograph walk-forward`: fit on the past, choose on what follows, report what neither has seen."""

from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from heliograph.lab.backtest import Job
from heliograph.lab.commands.options import (
    Chunk,
    DataFolder,
    Json,
    WeightSet,
    check_sizes,
    chosen_strategy,
)
from heliograph.lab.commands.terminal import number, percent, print_json, progress, wide
from heliograph.lab.folder import CHUNK
from heliograph.lab.walk import Walk, walk


def walk_forward(
    folder: DataFolder,
    *,
    weights: WeightSet = None,
    train: Annotated[int, Parameter(help="Days with bars to fit on.")] = 252,
    validation: Annotated[int, Parameter(help="Days after them, to choose on.")] = 63,
    test: Annotated[int, Parameter(help="Days after those, which are reported; also the step.")] = 21,
    json: Json = False,
    chunk: Chunk = CHUNK,
) -> int:
    """Walk forward through the data and say what fitting the weights again and again would have come to."""
    check_sizes(chunk, 1)
    job = Job(folder=folder, strategy=chosen_strategy(weights))
    with progress("walk-forward", "steps") as report:
        found = walk(job, (train, validation, test), chunk, report)
    if json:
        print_json(found)
    else:
        tell(found)
    return 0


def tell(found: Walk) -> None:
    """A walk for a person."""
    console = wide()
    console.print(f"[bold]{found.verdict}[/]\n", highlight=False)
    console.print(
        f"{len(found.steps)} windows, test parts from {found.first_day} to {found.last_day}; the fitted "
        f"weights were chosen in {found.changed}. {found.comparison.verdict}\n",
        highlight=False,
    )
    table = Table(box=None, padding=(0, 2))
    for title in (
        "test part from",
        "weights",
        "validation, current",
        "fitted",
        "signals",
        "win rate",
        "mean",
    ):
        table.add_column(title, justify="left" if title in ("test part from", "weights") else "right")
    for step in found.steps:
        table.add_row(
            step.test,
            step.chosen,
            "–" if step.current_net is None else f"{step.current_net:+.3f} %",
            "–" if step.candidate_net is None else f"{step.candidate_net:+.3f} %",
            f"{step.record.signals:,}",
            percent(step.record.win_rate, 1),
            "–" if step.record.mean_net is None else f"{step.record.mean_net:+.3f} %",
        )
    console.print(table)
    one, held = found.portfolio, found.buy_and_hold
    console.print(
        f"\ntotal return {percent(one.total_return)} (buy and hold {percent(held.total_return)}), Sharpe "
        f"{number(one.sharpe)} ({number(held.sharpe)}), maximum drawdown {percent(one.max_drawdown)} "
        f"({percent(held.max_drawdown)})",
        highlight=False,
    )
