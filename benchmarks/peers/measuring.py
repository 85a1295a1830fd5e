"""What the peers have in common: the rule's numbers, the tables of bars, the clock. Runs in `.venv/peers`."""
# mypy: ignore-errors
# pandas here is the peers' own.

import importlib.metadata
import json
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

FAST, SLOW = 20, 50
"""Bars of the two averages: long while the first is above the second, flat otherwise."""
COMMISSION = 0.001
SLIPPAGE = 0.0005
ROUNDS = 2
FEW = 3
"""Series that the slow peers get."""


def paths() -> np.ndarray:
    """The bars in the file that the command names; shape (series, bars, 5)."""
    return np.load(sys.argv[1])


def days(count: int) -> pd.DatetimeIndex:
    """So many days, not from 1970 on: nautilus_trader dies of a time of 0."""
    return pd.date_range("2000-01-01", periods=count, freq="D")


def tables(names: list[str]) -> list[pd.DataFrame]:
    """A table a series, for the slow peers, with columns of these names."""
    return [pd.DataFrame(path, days(len(path)), names) for path in paths()[:FEW]]


def best(run: Callable[[], object]) -> float:
    """Processor seconds of the quickest round, after one that only warms up."""
    run()
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return min(times)


def tell(name: str, bars: int, seconds: float) -> None:
    """Print the figure as one line of JSON."""
    version = importlib.metadata.version(name)
    print(json.dumps({"bars": bars, "seconds": seconds, "version": version}))
