"""`heliograph backtest`: the live engines over a folder of bars, and what it comes to."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from heliograph.lab.backtest import Job, run
from heliograph.lab.commands.options import (
    Chunk,
    DataFolder,
    From,
    Json,
    To,
    WeightSet,
    Workers,
    check_sizes,
    chosen_strategy,
)
from heliograph.lab.commands.terminal import print_json, print_summary, progress
from heliograph.lab.folder import CHUNK
from heliograph.lab.period import period_of
from heliograph.lab.report.page import write_report
from heliograph.lab.summary import summarise


def backtest(
    folder: DataFolder,
    *,
    from_: From = None,
    to: To = None,
    weights: WeightSet = None,
    html: Annotated[Path | None, Parameter(help="Write a report there, one file without network.")] = None,
    json: Json = False,
    chunk: Chunk = CHUNK,
    workers: Workers = 1,
    votes: Annotated[
        Path | None,
        Parameter(help="Folder of Parquet files with recorded votes of sources from outside, as archived."),
    ] = None,
    live: Annotated[
        bool, Parameter(negative="", help="Batch by batch as the services do: slower, the same figures.")
    ] = False,
) -> int:
    """Run the live engines over a folder of bars and say what its signals came to, after costs.

    The ids of the signals are those of `heliograph up --once` on the same folder.
    """
    check_sizes(chunk, workers)
    job = Job(
        folder=folder,
        strategy=chosen_strategy(weights),
        period=period_of(from_, to),
        votes=votes,
        live=live,
    )
    with progress("backtest", "symbols") as report:
        result = run(job, chunk=chunk, workers=workers, report=report)
    summary = summarise(job, result)
    if html is not None:
        write_report(html, job, result, summary)
    if json:
        print_json(summary)
    else:
        print_summary(summary)
    return 0
