"""Fetching the records of the symbols to come while the ones before them are computed.

A shard of many symbols does not fit into the caches of a core: without this each bar waits for memory a dozen
times. Two steps, since the places in the rings hang on the number of bars, which must have come first.
"""

from typing import Final

from heliograph.consensus.engine.compilation import compiled, fetch_ahead
from heliograph.consensus.engine.indicators import earlier
from heliograph.consensus.engine.layout import (
    CLOSES,
    EXTREMES,
    LINE,
    SYMBOL,
    VOLUMES,
    Integers,
    Records,
    Symbol,
    offset_of,
)

WORD: Final = 8
FAR: Final = 8
NEAR: Final = 3
"""Positions ahead at which the head of a record is fetched, and its places in the rings."""
HEAD: Final = 7 * LINE
CLOSES_AT: Final = offset_of(SYMBOL, "closes")
VOLUMES_AT: Final = offset_of(SYMBOL, "volumes")
REACHES_AT: Final = offset_of(SYMBOL, "reaches")


@compiled
def look_ahead(symbols: Records, rows: Integers, position: int) -> None:
    """Have fetched what the positions after this one need."""
    if position + FAR < rows.size:
        far: Symbol = symbols[rows[position + FAR]]
        for offset in range(0, HEAD, LINE):
            fetch_ahead(far, offset)
    if position + NEAR < rows.size:
        near: Symbol = symbols[rows[position + NEAR]]
        slot = near.bars % CLOSES
        fetch_ahead(near, CLOSES_AT + WORD * slot)
        fetch_ahead(near, CLOSES_AT + WORD * earlier(slot, 5, CLOSES))
        fetch_ahead(near, CLOSES_AT + WORD * earlier(slot, 20, CLOSES))
        fetch_ahead(near, CLOSES_AT + WORD * earlier(slot, 50, CLOSES))
        fetch_ahead(near, VOLUMES_AT + WORD * (near.bars % VOLUMES))
        fetch_ahead(near, REACHES_AT + 2 * WORD * (near.bars % EXTREMES))
