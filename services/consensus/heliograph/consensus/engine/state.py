"""A shard's arrays, and the number that each symbol has in them."""

from collections.abc import Iterable, Sequence

import numpy as np

from heliograph.common.shards import fnv1a_32
from heliograph.common.subjects import check_symbol
from heliograph.consensus.engine.layout import (
    ABSTAIN,
    COUNTS,
    LINE,
    SYMBOL,
    Integers,
    Records,
)

INITIAL_ROWS = 16
KEPT_LISTS = 64
WORTH_KEEPING = 16
"""Symbols from which on comparing with the list before is quicker than looking each one up."""


class State:
    """Everything that a shard knows: `symbols` has a record for each of `names`, and blank ones behind."""

    def __init__(self, capacity: int = INITIAL_ROWS) -> None:
        self.names: list[str] = []
        self.symbols = blank(capacity)
        self.counts: Integers = np.zeros(len(COUNTS), np.int64)
        self._rows: dict[str, int] = {}
        self._lists: dict[tuple[int, str, str], tuple[Sequence[str], Integers]] = {}

    def rows_of(self, symbols: Sequence[str]) -> Integers:
        """The rows of some symbols, new ones added at the end; shape (n,).

        Raises:
            InputError: a new symbol is not a possible one; nothing has been added.
        """
        if len(symbols) < WORTH_KEEPING:
            return self._look_up(symbols)
        key = (len(symbols), symbols[0], symbols[-1])
        kept = self._lists.get(key)
        if kept is not None and kept[0] == symbols:
            return kept[1]
        rows = self._look_up(symbols)
        if len(self._lists) >= KEPT_LISTS:
            self._lists.clear()
        self._lists[key] = (symbols, rows)
        return rows

    def row_of(self, symbol: str) -> int | None:
        """The row of a symbol, if it has one."""
        return self._rows.get(symbol)

    def _look_up(self, symbols: Sequence[str]) -> Integers:
        try:
            return np.array([self._rows[symbol] for symbol in symbols], np.int64)
        except KeyError:
            self.add(symbol for symbol in symbols if symbol not in self._rows)
            return np.array([self._rows[symbol] for symbol in symbols], np.int64)

    def add(self, symbols: Iterable[str]) -> None:
        """Give rows to new symbols.

        Raises:
            InputError: one is not a possible symbol; nothing has been added.
        """
        new = [check_symbol(symbol) for symbol in dict.fromkeys(symbols)]
        for symbol in new:
            self._rows[symbol] = len(self.names)
            self.names.append(symbol)
        while len(self.names) > len(self.symbols):
            held = self.symbols
            self.symbols = blank(2 * len(held))
            self.symbols[: len(held)] = held
        for symbol in new:
            self.symbols["key"][self._rows[symbol]] = fnv1a_32(symbol.encode())


def blank(count: int) -> Records:
    """Symbols of which nothing is known, each at the beginning of a cache line; shape (count,)."""
    space = np.zeros(count * SYMBOL.itemsize + LINE, np.uint8)
    begin = -space.ctypes.data % LINE
    symbols = space[begin : begin + count * SYMBOL.itemsize].view(SYMBOL)
    symbols["direction"] = ABSTAIN
    return symbols
