"""Splits beside the bars: each at the first good bar in new shares. Pure."""

import numpy as np
from numpy.typing import NDArray

from heliograph.fetcher.provider import NO_TIME
from heliograph.fetcher.table import Table


def place_splits(table: Table, good: NDArray[np.int64]) -> dict[int, float]:
    """New shares for each old one, by the number of the row from which on prices are in new shares.

    A split at a bar that was refused comes with the symbol's next good one; two at one bar multiply.

    Args:
        table: all rows, and the splits as the provider gave them.
        good: the numbers of the good rows, by symbol and time.
    """
    code, ts = table.code[good], table.ts[good]
    placed: dict[int, float] = {}
    for row, ratio in sorted(table.splits.items()):
        if table.ts[row] == NO_TIME:
            continue
        first, beyond = np.searchsorted(code, [table.code[row], table.code[row] + 1])
        at = int(first) + int(np.searchsorted(ts[first:beyond], table.ts[row]))
        if at < beyond:
            number = int(good[at])
            placed[number] = placed.get(number, 1.0) * ratio
    return placed
