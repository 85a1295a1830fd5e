"""What a provider of bars is to the fetcher. Every provider passes the same quality gate."""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]
Times = NDArray[np.int64]
Numbers = NDArray[np.float64]


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Bars as a provider gave them, by columns, in its order, not yet judged.

    Attributes:
        origin: where they came from: a file's name, or the request.
        symbols: the distinct symbols.
        code: index into `symbols`, one a row.
        ts: start of each bar, UTC nanoseconds; `NO_TIME` where there is none.
        open: prices in quote currency, NaN where missing; `high`, `low`, `close` likewise.
        volume: units traded in the bar, NaN where missing.
        splits: number of a row → new shares for each old one from this bar on, where there is a split.
    """

    origin: str
    symbols: list[str]
    code: Codes
    ts: Times
    open: Numbers
    high: Numbers
    low: Numbers
    close: Numbers
    volume: Numbers
    splits: dict[int, float] = {}


NO_TIME = int(np.iinfo(np.int64).min)
"""Stands for a time that is missing or cannot be told in nanoseconds; the quality gate refuses it."""


class Provider(Protocol):
    """A provider of stored bars. One object lives as long as the process."""

    name: str
    """The `source` of its bars, e.g. `replay`."""

    def rows(self) -> AsyncIterator[Rows]:
        """All of the provider's bars in batches, to their end; never holds the event loop.

        Raises:
            InputError: what it gives is not bars at all; asking again would not help.
            UnavailableError: it cannot answer now; asking again may help.
        """
        ...
