"""`heliograph optimize-weights`: weights fitted on the validation part, accepted only if the test agrees."""

from pathlib import Path
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
from heliograph.lab.commands.terminal import number, print_json, progress, wide
from heliograph.lab.folder import CHUNK
from heliograph.lab.optimize import Optimisation, optimise
from heliograph.lab.strategy import write_strategy


def optimize_weights(
    folder: DataFolder,
    *,
    weights: WeightSet = None,
    out: Annotated[Path | None, Parameter(help="File for the weights; written only if accepted.")] = None,
    json: Json = False,
    chunk: Chunk = CHUNK,
) -> int:
    """Fit the weights to votes and outcomes, and keep them only where data they have not seen agree.

    Exits with 0 whether they are accepted or not.
    """
    check_sizes(chunk, 1)
    job = Job(folder=folder, strategy=chosen_strategy(weights))
    with progress("optimize-weights", "symbols") as report:
        found, candidate = optimise(job, chunk, report)
    if found.accepted and out is not None:
        write_strategy(out, candidate)
    if json:
        print_json(found)
    else:
        tell(found)
    return 0


def tell(found: Optimisation) -> None:
    """An optimisation for a person."""
    console = wide()
    console.print(f"[bold]{found.verdict}[/]\n", highlight=False)
    console.print(
        f"fitted on {found.validation[0]} to {found.validation[1]}, judged from {found.test} on\n",
        highlight=False,
    )
    table = Table(box=None, padding=(0, 2))
    for title in ("view", "signals", "log loss", "without votes", "weights"):
        table.add_column(title, justify="left" if title in ("view", "weights") else "right")
    for fit in found.fits:
        told = ", ".join(f"{source} {weight:.2f}" for source, weight in (fit.weights or {}).items())
        shown = told or f"as they are: {fit.why}"
        table.add_row(fit.view, f"{fit.signals:,}", number(fit.loss, 4), number(fit.constant, 4), shown)
    console.print(table)
