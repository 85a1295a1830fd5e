"""The pattern source: what became of a symbol's own signals when it last looked like this.

The rules of the tracker's search (the 50 nearest by cosine, at least .7, narrowed to the volatility regime
where enough share it, only cases that had ended), over the symbol's newest 64 ended signals. Features are
standardised by the cases that may be found, so nothing later than them counts.
"""

import math
from typing import Final

import numpy as np

from heliograph.consensus.engine.arms import arm_of
from heliograph.consensus.engine.compilation import compiled, compiled_on_disk
from heliograph.consensus.engine.consensus import tally
from heliograph.consensus.engine.features import measure
from heliograph.consensus.engine.kernel import averages_of, surroundings
from heliograph.consensus.engine.layout import ABSTAIN, CASES, Cases, Floats, Integers, Records, Symbol
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.votes import EXACT, ballot

NEIGHBOURS: Final = 50
SIMILAR: Final = 0.7
ENOUGH: Final = 10
REGIME_SHARE: Final = 0.4
SIZE: Final = 16
VOLATILITY: Final = 15
POINTS: Final = 100.0


@compiled
def begin(cases: Cases, column: int) -> None:
    """A signal has begun with the newest bar: keep its look until it ends."""
    cases.begun[column] = 1
    for feature in range(SIZE):
        cases.looks[column, feature] = cases.now[feature]


@compiled
def keep(cases: Cases, column: int, multiple: float, closed_at: int) -> None:
    """A signal has ended with so many R at an event time; one from before the source has no look."""
    if cases.begun[column] == 0:
        return
    place = cases.held % CASES
    for feature in range(SIZE):
        cases.past[place, feature] = cases.looks[column, feature]
    cases.ended[place] = closed_at
    cases.move[place] = (1 - 2 * (column % 2)) * multiple
    cases.held += 1
    cases.begun[column] = 0


@compiled
def standardise(cases: Cases, known: Integers, count: int, vectors: Floats, query: Floats) -> None:
    """The known cases and the newest bar as vectors of length 1, or 0 where all is mean."""
    for feature in range(SIZE):
        first = cases.past[known[0], feature]
        constant = True
        total = 0.0
        for n in range(count):
            value = cases.past[known[n], feature]
            constant = constant and value == first
            total += value
        mean = first if constant else total / count
        squares = 0.0
        for n in range(count):
            vectors[n, feature] = cases.past[known[n], feature] - mean
            squares += vectors[n, feature] ** 2
        query[feature] = cases.now[feature] - mean
        if squares > 0.0 and not constant:
            scale = math.sqrt(squares / count)
            query[feature] /= scale
            for n in range(count):
                vectors[n, feature] /= scale


@compiled
def cosine(one: Floats, other: Floats) -> float:
    """Of two vectors; 0 where one has no length."""
    product, first, second = 0.0, 0.0, 0.0
    for feature in range(SIZE):
        product += one[feature] * other[feature]
        first += one[feature] ** 2
        second += other[feature] ** 2
    lengths = first * second
    return product / math.sqrt(lengths) if lengths > 0.0 else 0.0


@compiled
def neighbours(cases: Cases, closed_at: int, vectors: Floats, query: Floats, found: Integers) -> int:
    """Fill `found` with the places of the cases that are alike; how many."""
    count = 0
    for place in range(min(cases.held, CASES)):
        if cases.ended[place] < closed_at:
            found[count] = place
            count += 1
    if count < ENOUGH:
        return 0
    standardise(cases, found, count, vectors, query)
    similar = np.empty(count)
    for n in range(count):
        similar[n] = cosine(vectors[n], query)
    threshold = SIMILAR
    if count > NEIGHBOURS:
        threshold = max(SIMILAR, np.sort(similar)[count - NEIGHBOURS])
    near, same = 0, 0
    for n in range(count):
        if similar[n] >= threshold and near < NEIGHBOURS:
            found[near] = found[n]
            near += 1
            if cases.past[found[n], VOLATILITY] == cases.now[VOLATILITY]:
                same += 1
    if same < max(float(ENOUGH), REGIME_SHARE * near):
        return near
    kept = 0
    for n in range(near):
        if cases.past[found[n], VOLATILITY] == cases.now[VOLATILITY]:
            found[kept] = found[n]
            kept += 1
    return kept


@compiled
def recall(
    cases: Cases, closed_at: int, vectors: Floats, query: Floats, found: Integers, rules: Rules
) -> tuple[int, float]:
    """The vote: the side to which the price went on the mean, with the share of the cases that went there."""
    count = neighbours(cases, closed_at, vectors, query, found)
    if count < ENOUGH:
        return ABSTAIN, 0.0
    total = 0.0
    for n in range(count):
        total += cases.move[found[n]]
    side = 1 if total > EXACT else (-1 if total < -EXACT else 0)
    there = 0
    for n in range(count):
        if side * cases.move[found[n]] > 0.0:
            there += 1
    return ballot(side, POINTS * there / count, rules)


@compiled_on_disk
def recall_rows(
    symbols: Records,
    memory: Records,
    rows: Integers,
    session: int,
    rule: Records,
    weights: Records,
    directions: Integers,
    confidences: Floats,
) -> None:
    """Measure the newest bar of some symbols and let the pattern source vote on them.

    Args:
        symbols: of the layout SYMBOL; `memory` of MEMORY, shape (capacity,).
        rows: symbols with FEATURE_BARS, shape (n,).
        session: part of the US session that the bars begin in, of `features`.
        rule: the rules, shape (1,); `weights` of TABLE.
        directions: receives the votes, shape (n,); `confidences` likewise, 0–1.
    """
    rules: Rules = rule[0]
    vectors, query = np.empty((CASES, SIZE)), np.empty(SIZE)
    found = np.empty(CASES, np.int64)
    for position in range(rows.size):
        symbol: Symbol = symbols[rows[position]]
        cases: Cases = memory[rows[position]]
        sma_20, sma_50 = averages_of(symbol)
        _, view = surroundings(symbol, sma_20, sma_50, rules)
        arm = arm_of(symbol.key, symbol.last_ts, weights)
        _, voted, balance, _, _ = tally(symbol, view, weights[arm])
        conviction = abs(balance) / voted if voted > 0.0 else 0.0
        measure(cases, symbol, session, conviction, rules)
        closed_at = symbol.last_ts + symbol.interval_ns
        directions[position], confidences[position] = recall(cases, closed_at, vectors, query, found, rules)
