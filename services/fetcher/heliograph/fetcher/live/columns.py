"""From the JSON of a provider to columns: nothing raises for a value of a wrong type. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from heliograph.common.errors import InputError
from heliograph.fetcher.provider import Rows

SHOWN = 120
"""Characters of a message that an error shows."""

Values = tuple[float, float, float, float, float]
"""Open, high, low, close and volume."""


def columns(origin: str, names: Sequence[str], starts: Sequence[int], values: Sequence[Values]) -> Rows:
    """Bars by columns: the symbol, the start (UTC nanoseconds, or `NO_TIME`) and the values of each."""
    symbols = list(dict.fromkeys(names))
    number_of = {symbol: n for n, symbol in enumerate(symbols)}
    table = np.array(values, dtype=np.float64).reshape(len(values), 5)
    return Rows(
        origin=origin,
        symbols=symbols,
        code=np.array([number_of[name] for name in names], dtype=np.int32),
        ts=np.array(starts, dtype=np.int64),
        open=table[:, 0].copy(),
        high=table[:, 1].copy(),
        low=table[:, 2].copy(),
        close=table[:, 3].copy(),
        volume=table[:, 4].copy(),
    )


def no_rows(origin: str) -> Rows:
    """A sign of life."""
    return columns(origin, [], [], [])


def decoded(data: str | bytes) -> Any:
    """Read JSON.

    Raises:
        InputError: it is none.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError(f"message: {shown(data)}, expected JSON") from None


def number(value: object) -> float:
    """NaN for what is no number, which the quality gate refuses."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def shown(data: str | bytes) -> str:
    """The beginning of a message, for an error."""
    text = data if isinstance(data, str) else data.decode(errors="replace")
    return repr(text[:SHOWN])
