"""The steps of a batch where other sources have a say, between Python and the kernels of `judge`."""

from collections.abc import Iterator, Sequence

import numpy as np

from heliograph.common.events import BarBatch, Enrich
from heliograph.common.ids import derive_id
from heliograph.consensus.engine.judge import absorb_rows, close_rows, judge
from heliograph.consensus.engine.layout import ASKED, Floats, Integers, Records
from heliograph.consensus.engine.making import NAMES
from heliograph.consensus.engine.others import Others
from heliograph.consensus.engine.state import State

FOR_EVER = 1 << 62
DIGITS = 2
"""Decimals of a bound."""


def absorb_and_judge(
    state: State,
    others: Others,
    rows: Integers,
    bars: Floats,
    batch: BarBatch,
    length: int,
    rules: Records,
    tables: Records,
) -> Iterator[tuple[Integers, int]]:
    """What is to be judged (1 in the places of `rows`), and the event time, once before and once after.

    Before the bars are taken: decisions that are pending on their symbols. Afterwards: the bars.
    """
    others.grow(state)
    chosen = np.zeros(len(rows), np.int64)
    if close_rows(state.symbols, others.memory, others.pending, rows, bars, batch.ts, length, chosen):
        yield chosen, FOR_EVER
    absorb_rows(
        state.symbols,
        others.memory,
        others.pending,
        rows,
        bars,
        batch.ts,
        length,
        rules,
        tables,
        state.counts,
        chosen,
    )
    others.convene(batch, length, rows[chosen == 1], state, tables)
    yield chosen, batch.ts + length


def judge_rows(
    state: State,
    others: Others,
    rows: Integers,
    chosen: Integers,
    now: int,
    rules: Records,
    tables: Records,
    decisions: Records,
) -> tuple[int, Records]:
    """How many decisions there are in `decisions`, and the requests."""
    requests = np.zeros(len(rows), ASKED)
    made, asked = judge(
        state.symbols,
        others.memory,
        others.heard,
        others.pending,
        rows,
        chosen,
        now,
        rules,
        tables,
        others.seats,
        decisions,
        requests,
        state.counts,
    )
    return made, requests[:asked]


def enrich_of(cause: str, state: State, keys: Sequence[str], row: int, asked: np.void) -> Enrich:
    """The request for a tier, about the newest bar of a symbol; the same for the same bar and tier.

    `keys` are those of the other sources, in their order.
    """
    record = state.symbols[row]
    symbol, bar_ts, length = state.names[row], int(record["last_ts"]), int(record["interval_ns"])
    tier = int(asked["tier"])
    chosen = int(asked["sources"])
    return Enrich(
        v=2,
        id=derive_id("enrich", symbol, NAMES[length], bar_ts, tier),
        cause=cause,
        ts=bar_ts + length,
        symbol=symbol,
        tier=tier,
        deadline=int(asked["deadline"]),
        bound=round(float(asked["bound"]), DIGITS),
        sources=[key for place, key in enumerate(keys) if chosen >> place & 1],
    )
