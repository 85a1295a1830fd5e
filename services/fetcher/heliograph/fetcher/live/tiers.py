"""Which symbols are asked for most often: the tiers of polling. Pure."""

from collections.abc import Collection, Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from heliograph.fetcher.provider import Numbers


class Tier(IntEnum):
    """The tiers, the most frequent one first."""

    HIGH = 0
    MEDIUM = 1
    LOW = 2


def tiers(
    symbols: Sequence[str],
    traded: Numbers,
    *,
    high: Collection[str],
    medium: Collection[str],
    busiest: int,
) -> NDArray[np.int8]:
    """The `Tier` of each symbol.

    HIGH are those that are named so and the `busiest` ones, whatever else they are named; of equal trade the
    first in the order of `symbols`. A symbol that did not trade is not among the busiest.

    Args:
        symbols: distinct; `traded` the value that each traded of late, NaN or 0 where nothing is known.
        high: symbols that are HIGH in any case; `medium` those that are MEDIUM unless they are HIGH.
        busiest: how many of those that trade most are HIGH.
    """
    found = np.full(len(symbols), Tier.LOW, dtype=np.int8)
    for row, symbol in enumerate(symbols):
        if symbol in high:
            found[row] = Tier.HIGH
        elif symbol in medium:
            found[row] = Tier.MEDIUM
    value = np.nan_to_num(traded, nan=0.0)
    most = np.argsort(-value, kind="stable")[:busiest]
    found[most[value[most] > 0.0]] = Tier.HIGH
    return found
