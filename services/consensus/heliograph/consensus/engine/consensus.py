"""The weighing of votes: one figure of 0–100 for a side, or the reason why there is none."""

from heliograph.consensus.engine.compilation import compiled
from heliograph.consensus.engine.layout import (
    ABSTAIN,
    CONFIDENCE,
    MINIMUM_BARS,
    NEUTRAL,
    QUORUM,
    SIGNALS,
    SOURCES,
    WARMING,
    Symbol,
    Table,
)
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.votes import EXACT, when


@compiled
def tally(symbol: Symbol, view: int, table: Table) -> tuple[float, float, float, float, float]:
    """Weights of the sources that are computed from bars: eligible, voted, Σ w·d·c, long, short."""
    eligible = 0.0
    voted = 0.0
    balance = 0.0
    longs = 0.0
    shorts = 0.0
    for source in range(len(SOURCES)):
        weight = table.weights[view, source]
        if symbol.bars < MINIMUM_BARS[source] or weight <= 0.0:
            continue
        eligible += weight
        direction = symbol.direction[source]
        # An abstention counts as much as nothing: it is added rather than passed over.
        said = when(direction != ABSTAIN, weight)
        voted += said
        balance += said * direction * symbol.confidence[source]
        longs += when(direction > 0, said)
        shorts += when(direction < 0, said)
    return eligible, voted, balance, longs, shorts


@compiled
def verdict_of(
    sums: tuple[float, float, float, float, float], multiplier: float, rules: Rules
) -> tuple[int, int, float, float, float]:
    """The consensus of votes by their `tally`.

    raw = 100 · |Σ w·d·c| / Σ w over the eligible sources that have voted, neutral ones included, abstaining
    ones left out of both sums; times the regime's multiplier, at most `raw_cap`.

    Returns:
        What came of it (SIGNALS where the gate is passed, else a number of COUNTS), side (−1, 0, +1), raw
        (0–100), agreement (share of the voting weight on that side), weight of the sources that voted.
    """
    eligible, voted, balance, longs, shorts = sums
    if eligible <= 0.0:
        return WARMING, 0, 0.0, 0.0, 0.0
    if voted <= 0.0 or voted < rules.quorum * eligible - EXACT:
        return QUORUM, 0, 0.0, 0.0, voted
    side = int(balance > EXACT) - int(balance < -EXACT)
    if side == 0:
        return NEUTRAL, 0, 0.0, 0.0, voted
    raw = min(rules.raw_cap, 100.0 * abs(balance) / voted * multiplier)
    agreement = (longs if side > 0 else shorts) / voted
    return (SIGNALS if raw >= rules.gate - EXACT else CONFIDENCE), side, raw, agreement, voted


@compiled
def weigh(
    symbol: Symbol, view: int, multiplier: float, rules: Rules, table: Table
) -> tuple[int, int, float, float, float]:
    """The consensus where all sources are computed from bars."""
    return verdict_of(tally(symbol, view, table), multiplier, rules)


@compiled
def bound_of(balance: float, voted: float, unheard: float, multiplier: float, rules: Rules) -> float:
    """The most that raw can become: every source not yet heard agrees at full strength.

    100 · (|Σ w·d·c| + U) / (Σ w + U), U the weight of the eligible sources not yet heard. As each can add no
    more to the sum above than to the one below, one that abstains or disagrees stays under it.
    """
    return min(rules.raw_cap, 100.0 * (abs(balance) + unheard) / (voted + unheard) * multiplier)
