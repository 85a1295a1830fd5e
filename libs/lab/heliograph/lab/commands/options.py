"""What several commands take."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from heliograph.common.errors import InputError
from heliograph.lab.strategy import Strategy, live_strategy, read_strategy

MOST_WORKERS = 256

DataFolder = Annotated[Path, Parameter(help="Folder of Parquet files with bars, as for `heliograph up`.")]
From = Annotated[
    str | None,
    Parameter(name="--from", help="First day or time, e.g. 2016-01-01; bars before it only warm up."),
]
To = Annotated[str | None, Parameter(name="--to", help="First day or time that is not read any more.")]
WeightSet = Annotated[
    Path | None, Parameter(name="--weights", help="TOML file with a weight set. Default: as configured.")
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")]
Chunk = Annotated[int, Parameter(help="Symbols in memory at a time.")]
Workers = Annotated[int, Parameter(help="Processes.")]


def chosen_strategy(weights: Path | None) -> Strategy:
    """The strategy of a file, or the configured one.

    Raises:
        InputError: the file is wrong.
    """
    return live_strategy() if weights is None else read_strategy(weights)


def check_sizes(chunk: int, workers: int) -> None:
    """Refuse impossible sizes.

    Raises:
        InputError: one is out of its range.
    """
    if chunk < 1:
        raise InputError(f"chunk: {chunk}, expected 1 or more symbols")
    if not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"workers: {workers}, expected 1 to {MOST_WORKERS}")
