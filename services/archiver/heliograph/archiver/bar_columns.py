"""Batches of bars as the archiver reads them: whole columns, without an object for each number.

Nothing here looks at a single bar, so a `BarBatch` with its lists would cost more than the insert.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import cast

import msgspec
import numpy as np
import pyarrow as pa
import simdjson

from heliograph.common.errors import PoisonError
from heliograph.common.events import Event

PRICES = ("open", "high", "low", "close", "volume")
KNOWN_LISTS = 256
"""Lists of symbols that are kept: those of a shard are the same from minute to minute."""


class BarColumns(Event, frozen=True, kw_only=True, tag="bars", gc=False):
    """A `BarBatch`, with the columns as the JSON that they came in."""

    interval: str
    symbols: msgspec.Raw
    open: msgspec.Raw
    high: msgspec.Raw
    low: msgspec.Raw
    close: msgspec.Raw
    volume: msgspec.Raw
    source: str
    splits: dict[str, float] | msgspec.UnsetType = msgspec.UNSET


def columns(batches: Sequence[BarColumns]) -> tuple[dict[str, pa.Array], list[int]]:
    """The columns of batches one after another that differ from bar to bar, and each batch's number of bars.

    Raises:
        PoisonError: one is not what a `BarBatch` is; the message names the column.
    """
    symbols = [_symbols(bytes(batch.symbols)) for batch in batches]
    counts = [len(names) for names in symbols]
    parser = simdjson.Parser()
    found = {"symbol": pa.concat_arrays(symbols)}
    for name in PRICES:
        found[name] = _floats(name, [bytes(getattr(batch, name)) for batch in batches], counts, parser)
    found["split"] = _splits(batches, found["symbol"], counts)
    return found, counts


@lru_cache(KNOWN_LISTS)
def _symbols(data: bytes) -> pa.Array:
    try:
        return pa.array(msgspec.json.decode(data, type=list[str]), pa.string())
    except msgspec.DecodeError as error:
        raise PoisonError(f"bars.symbol: {error}") from error


def _floats(name: str, lists: list[bytes], counts: list[int], parser: simdjson.Parser) -> pa.Array:
    """Lists of numbers one after another, parsed as one."""
    for data, count in zip(lists, counts, strict=True):
        values = data.count(b",") + bool(data[1:-1].strip())
        if values != count:
            raise PoisonError(f"bars.{name}: {values} values, expected {count}, one a symbol")
    whole = b"[" + b",".join(lists) + b"]"
    if whole.count(b"[") != len(lists) + 1:
        raise PoisonError(f"bars.{name}: expected lists of numbers without others in them")
    try:
        parsed = cast("simdjson.Array", parser.parse(whole))
        buffer = pa.py_buffer(parsed.as_buffer(of_type="d"))
    except (TypeError, ValueError) as error:
        raise PoisonError(f"bars.{name}: {error}, expected numbers") from error
    return pa.Array.from_buffers(pa.float64(), sum(counts), [None, buffer])


def _splits(batches: Sequence[BarColumns], symbols: pa.Array, counts: list[int]) -> pa.Array:
    """The split of each bar; hardly any batch has one."""
    ratios = np.ones(len(symbols))
    ends = accumulate(counts)
    for batch, count, end in zip(batches, counts, ends, strict=True):
        for symbol, ratio in (batch.splits or {}).items():
            if not (math.isfinite(ratio) and ratio > 0):
                raise PoisonError(f"bars.split: {ratio!r} of {symbol}, expected a finite positive number")
            place = symbols.slice(end - count, count).index(symbol).as_py()
            if place >= 0:
                ratios[end - count + place] = ratio
    return pa.array(ratios)
