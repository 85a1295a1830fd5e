"""Decisions where other sources have a say: plug-ins, and sources whose votes come from outside, later.

The kernel of `step` in parts: `close_rows` ends signals before pending decisions fall, `absorb_rows` takes
bars, `judge` weighs. A decision is on the newest bar of a symbol, whose record stays as it is until the next
bar; so it can be made at the bar or at any time up to the next one.
"""

from typing import Final

from heliograph.consensus.engine.arms import arm_of
from heliograph.consensus.engine.compilation import compiled, compiled_on_disk
from heliograph.consensus.engine.consensus import bound_of, tally, verdict_of
from heliograph.consensus.engine.features import FEATURE_BARS
from heliograph.consensus.engine.frames import clock_of
from heliograph.consensus.engine.kernel import (
    averages_of,
    close_one,
    decide,
    refusal,
    surroundings,
    take,
)
from heliograph.consensus.engine.layout import (
    ABSTAIN,
    ARMS,
    BARS,
    CONFIDENCE,
    SIGNALS,
    UNHEARD,
    Asked,
    Cases,
    Decision,
    Floats,
    Heard,
    Integers,
    Pending,
    Records,
    Seat,
    Symbol,
    Table,
)
from heliograph.consensus.engine.recall import begin, keep
from heliograph.consensus.engine.regime import multiplier_of
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.votes import EXACT

Sums = tuple[float, float, float, float, float]
NO_TIER: Final = 1 << 30
NANOSECONDS_A_SECOND: Final = 1e9


@compiled
def close_and_keep(
    symbol: Symbol,
    memory: Records,
    row: int,
    bar_ts: int,
    closed_at: int,
    open_: float,
    high: float,
    low: float,
    close: float,
) -> None:
    """As `close_held`; where there is a memory of cases, what became of them is kept there."""
    for column in range(2 * ARMS):
        ended, multiple = close_one(symbol, column, bar_ts, closed_at, open_, high, low, close)
        if ended and memory.size > 0:
            keep(memory[row], column, multiple, closed_at)


@compiled_on_disk
def close_rows(
    symbols: Records,
    memory: Records,
    pending: Records,
    rows: Integers,
    bars: Floats,
    bar_ts: int,
    interval_ns: int,
    chosen: Integers,
) -> int:
    """Where a decision is pending and its symbol's next bar comes: end the signals that this bar ends.

    Before the decision falls, since a signal that comes of it begins with this batch and is not ended by its
    bars. `chosen` (shape (n,)) receives 1 in these places and 0 elsewhere; how many there are.
    """
    found = 0
    for position in range(rows.size):
        symbol: Symbol = symbols[rows[position]]
        state: Pending = pending[rows[position]]
        open_, high, low = bars[0, position], bars[1, position], bars[2, position]
        close, volume = bars[3, position], bars[4, position]
        chosen[position] = 0
        if state.deadline == 0:
            continue
        if refusal(symbol, bar_ts, interval_ns, open_, high, low, close, volume) == BARS:
            ends = bar_ts + interval_ns
            close_and_keep(symbol, memory, rows[position], bar_ts, ends, open_, high, low, close)
            state.closed_by = bar_ts
            chosen[position] = 1
            found += 1
    return found


@compiled_on_disk
def absorb_rows(
    symbols: Records,
    memory: Records,
    pending: Records,
    rows: Integers,
    bars: Floats,
    bar_ts: int,
    interval_ns: int,
    rule: Records,
    weights: Records,
    counts: Integers,
    chosen: Integers,
) -> int:
    """As `step`, without deciding: `chosen` receives 1 for each bar taken and 0 for others; how many."""
    rules: Rules = rule[0]
    table: Table = weights[0]
    closed_at = bar_ts + interval_ns
    clock = clock_of(interval_ns, bar_ts)
    found = 0
    for position in range(rows.size):
        symbol: Symbol = symbols[rows[position]]
        state: Pending = pending[rows[position]]
        open_, high, low = bars[0, position], bars[1, position], bars[2, position]
        close, volume = bars[3, position], bars[4, position]
        taken = refusal(symbol, bar_ts, interval_ns, open_, high, low, close, volume)
        counts[taken] += 1
        chosen[position] = 1 if taken == BARS else 0
        if taken != BARS:
            continue
        if symbol.bars == 0 or state.closed_by != bar_ts:
            close_and_keep(symbol, memory, rows[position], bar_ts, closed_at, open_, high, low, close)
        if memory.size > 0:
            cases: Cases = memory[rows[position]]
            cases.open = open_
        symbol.last_ts = bar_ts
        symbol.interval_ns = interval_ns
        benchmark: Symbol = symbols[table.benchmark] if table.benchmark >= 0 else symbol
        take(symbol, benchmark, (open_, high, low, close, volume), clock, closed_at, table.voting, rules)
        found += 1
    return found


@compiled
def newer(cell: Heard) -> bool:
    """Whether what has come is to replace what counts: by time, then direction and confidence."""
    if cell.next_direction == UNHEARD:
        return False
    if cell.direction == UNHEARD or cell.next_observed != cell.observed:
        return cell.direction == UNHEARD or cell.next_observed > cell.observed
    if cell.next_direction != cell.direction:
        return cell.next_direction > cell.direction
    return cell.next_confidence > cell.confidence


@compiled
def is_heard(cell: Heard, seat: Seat, closed_at: int) -> bool:
    """Whether a source has a word for a decision at this close, or an abstention: fresh enough."""
    return cell.direction != UNHEARD and closed_at - cell.observed <= seat.fresh_ns


@compiled
def renew(cell: Heard, seat: Seat, closed_at: int, under_way: bool) -> None:  # noqa: FBT001 - in the kernel
    """Take over what has come; while a decision is under way only from a source not heard for it.

    A later word of the same source counts from the next bar on: what is heard for a decision stays, so that a
    bound that was exact when it ended a decision stays exact.
    """
    if under_way and is_heard(cell, seat, closed_at):
        return
    if newer(cell):
        cell.direction = cell.next_direction
        cell.confidence = cell.next_confidence
        cell.observed = cell.next_observed
    cell.next_direction = UNHEARD


@compiled
def tally_others(
    sums: Sums,
    heard: Records,
    row: int,
    state: Pending,
    seats: Records,
    view: int,
    table: Table,
    closed_at: int,
) -> tuple[Sums, float, int, int]:
    """Add the other sources to a `tally`.

    Returns:
        The sums, the weight not yet heard, its cheapest tier, and a bit for each source of that tier.
    """
    eligible, voted, balance, longs, shorts = sums
    unheard = 0.0
    tier = NO_TIER
    missing = 0
    for source in range(seats.size):
        seat: Seat = seats[source]
        weight = table.others[view, source]
        if state.open == 0:
            weight *= seat.off_hours
        if weight <= 0.0 or not (state.eligible >> source) & 1:
            continue
        cell: Heard = heard[row, source]
        if not is_heard(cell, seat, closed_at):
            if seat.tier > 0:
                eligible += weight
                unheard += weight
                if seat.tier < tier:
                    tier = seat.tier
                    missing = 0
                if seat.tier == tier:
                    missing |= 1 << source
            continue
        eligible += weight
        if cell.direction == ABSTAIN:
            continue
        voted += weight
        balance += weight * cell.direction * cell.confidence
        if cell.direction > 0:
            longs += weight
        elif cell.direction < 0:
            shorts += weight
    return (eligible, voted, balance, longs, shorts), unheard, tier, missing


@compiled
def hopeless(sums: Sums, unheard: float, tier: int, multiplier: float, rules: Rules) -> tuple[bool, float]:
    """Whether there is no point in waiting, and the bound; `tier` is the one that has been asked.

    Without loss where the bound is under the gate; with a loss of signals where the partial confidence is
    under a threshold that is not 0.
    """
    bound = bound_of(sums[2], sums[1], unheard, multiplier, rules)
    if rules.early_exit > 0.0 and bound < rules.gate - EXACT:
        return True, bound
    partial = 100.0 * abs(sums[2]) / sums[1] * multiplier if sums[1] > 0.0 else 0.0
    threshold = rules.partial_exit if tier == 0 else rules.continue_exit
    return partial < threshold - EXACT, bound


@compiled_on_disk
def judge(
    symbols: Records,
    memory: Records,
    heard: Records,
    pending: Records,
    rows: Integers,
    chosen: Integers,
    now: int,
    rule: Records,
    weights: Records,
    seats: Records,
    decisions: Records,
    requests: Records,
    counts: Integers,
) -> tuple[int, int]:
    """Decide on the newest bars of some symbols, or ask for what is missing.

    Args:
        symbols: of the layout SYMBOL; `memory` of MEMORY, empty without a pattern source; `heard` of HEARD,
            shape (capacity, sources); `pending` of PENDING.
        rows: the symbols; `chosen` 1 for each that is to be decided on; shape (n,).
        now: event time: decisions with a deadline up to it fall.
        rule: the rules, shape (1,); `weights` of TABLE, `seats` of SEAT, shape (sources,).
        decisions: receives what passes; `requests`, of ASKED, what is asked; shape (at least n,).
        counts: what became of each decision is added here, as in COUNTS.

    Returns:
        How many decisions and how many requests there are.
    """
    rules: Rules = rule[0]
    made = 0
    asked = 0
    for position in range(rows.size):
        if chosen[position] == 0:
            continue
        row = rows[position]
        symbol: Symbol = symbols[row]
        state: Pending = pending[row]
        closed_at = symbol.last_ts + symbol.interval_ns
        for source in range(seats.size):
            renew(heard[row, source], seats[source], closed_at, state.deadline > 0)
        sma_20, sma_50 = averages_of(symbol)
        regime, view = surroundings(symbol, sma_20, sma_50, rules)
        arm = arm_of(symbol.key, symbol.last_ts, weights)
        table: Table = weights[arm]
        sums, unheard, tier, missing = tally_others(
            tally(symbol, view, table), heard, row, state, seats, view, table, closed_at
        )
        multiplier = multiplier_of(regime, rules)
        if tier != NO_TIER and not (0 < state.deadline <= now):
            stop, bound = hopeless(sums, unheard, state.tier, multiplier, rules)
            if stop:
                counts[CONFIDENCE] += 1
                state.deadline = 0
                state.tier = 0
                continue
            if state.deadline == 0:
                state.deadline = closed_at + int(rules.wait_s * NANOSECONDS_A_SECOND)
            if tier > state.tier:
                request: Asked = requests[asked]
                request.position = position
                request.tier = tier
                request.sources = missing
                request.deadline = state.deadline
                request.bound = bound
                asked += 1
                state.tier = tier
            continue
        state.deadline = 0
        state.tier = 0
        decision: Decision = decisions[made]
        found = verdict_of(sums, multiplier, rules)
        benchmark: Symbol = symbols[table.benchmark] if table.benchmark >= 0 else symbol
        verdict = decide(
            symbol, benchmark, found, (arm, regime, view), closed_at, table.voting, rules, decision
        )
        counts[verdict] += 1
        if verdict == SIGNALS:
            decision.position = position
            made += 1
            if memory.size > 0 and symbol.bars >= FEATURE_BARS:
                begin(memory[row], 2 * arm + (1 - decision.side) // 2)
    return made, asked
