"""The swing source: the trend label, the last swing with its Fibonacci levels, and one of three entries.

A side is +1 for long and −1 for short. Prices are multiplied by it, so that a short is the long of mirrored
prices, and every rule stands here once.
"""

from typing import Final

from heliograph.consensus.engine.compilation import compiled, same
from heliograph.consensus.engine.indicators import ROUNDING, earlier, rsi
from heliograph.consensus.engine.layout import (
    ABSTAIN,
    AVERAGES,
    CLOSES,
    EXTREMES,
    FRAMES,
    SLOPE,
    Symbol,
)
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.trends import MIDDLE, STRONG, label_of
from heliograph.consensus.engine.votes import ballot

LEVELS: Final = (0.236, 0.382, 0.5, 0.618, 0.65, 0.786, 1.0, 1.272, 1.414, 1.618)
"""Fibonacci levels: shares of the swing's range, back from its end; above 1 they reach beyond its start."""
NEAR: Final = 0.618
FAR: Final = 0.65
"""The golden pocket lies between these two, measured from the end of the swing."""
EXTENSION: Final = 1.272
STRENGTH_BARS: Final = 20

NO_ENTRY: Final = 0
POCKET: Final = 1
CONTINUATION: Final = 2
REVERSAL: Final = 3
ENTRIES: Final = ("none", "pocket", "continuation", "reversal")


@compiled
def extremes_of(symbol: Symbol) -> tuple[int, float, float]:
    """The last swing, over at most 40 bars: its side, its high and its low.

    The side is +1 where the low came before the high, −1 after it, 0 where one bar has both; of equal ones
    the latest counts.
    """
    high_bar, low_bar = symbol.high_bar, symbol.low_bar
    side = int(low_bar < high_bar) - int(low_bar > high_bar)
    return side, symbol.highest, symbol.lowest


@compiled
def pocket(side: int, high: float, low: float) -> tuple[float, float]:
    """The golden pocket of a swing: its edge near the swing's end and the one far from it."""
    end = high if side > 0 else low
    size = high - low
    return end - side * NEAR * size, end - side * FAR * size


@compiled
def entry_of(
    label: int,
    extremes: tuple[int, float, float],
    close: float,
    reach: tuple[float, float],
    reach_before: tuple[float, float],
    atr: float,
    strength: float,
    rules: Rules,
) -> tuple[int, int, float, float, float]:
    """The first of the three entries that there is.

    Args:
        label: of the trend, −2 … 2.
        extremes: side (−1, 0, +1), high and low of the last swing; of no account when sideways.
        close: of the newest bar, `reach` its high and low, `reach_before` those of the bar before it.
        atr: ATR14; `strength` RSI14.

    Returns:
        Which one (of ENTRIES), side, entry, stop, target; zeros without one.
    """
    side = 1 if label > 0 else -1
    if label == 0:
        if strength < rules.swing_rsi_low:
            side = 1
        elif strength > MIDDLE - rules.swing_rsi_low:
            side = -1
        else:
            return NO_ENTRY, 0, 0.0, 0.0, 0.0
    ahead, behind = (0, 1) if side > 0 else (1, 0)
    entry = close
    if label == 0:
        kind = REVERSAL
        stop = reach[behind] - side * rules.swing_reversal_stop * atr
        target = close + side * rules.swing_reversal_target * atr
    else:
        swing, high, low = extremes
        extension = (low if side > 0 else high) + side * EXTENSION * (high - low)
        near, far = pocket(side, high, low)
        if swing == side and side * far <= side * close <= side * near:
            kind = POCKET
            stop = side * min(side * reach[behind], side * far) - side * rules.swing_pocket_stop * atr
            target = side * max(side * extension, side * reach_before[ahead])
        else:
            kind = CONTINUATION
            entry = side * max(side * reach_before[ahead], side * close)
            stop = entry - side * rules.swing_continuation_stop * atr
            target = side * max(side * extension, side * entry + rules.swing_continuation_target * atr)
    margin = ROUNDING * close
    if side * (entry - stop) <= margin or side * (target - entry) <= margin:
        return NO_ENTRY, 0, 0.0, 0.0, 0.0
    return kind, side, entry, stop, target


@compiled
def confidence_of(
    label: int, reward: float, alignment: int, lead: float, outcomes: int, outcome_r: float, rules: Rules
) -> float:
    """Confidence in an entry, 0–1.

    Args:
        label: of the trend; `reward` the entry's R; `alignment` of the higher timeframes with its side.
        lead: strength over the benchmark on the entry's side; only its sign counts.
        outcomes: how many signals of the symbol have ended, `outcome_r` the sum of their R: the prior.
    """
    strong, some, none = rules.swing_strong, rules.swing_trend, rules.swing_sideways
    found = strong if abs(label) == STRONG else (none if label == 0 else some)
    found += min(rules.swing_reward_most, rules.swing_reward * reward) + rules.swing_alignment * alignment
    if lead > 0.0:
        found += rules.swing_stronger
    if outcomes > 0:
        prior = min(1.0, max(0.0, 0.5 + outcome_r / outcomes / 4.0))
        found = (1.0 - rules.swing_prior) * found + rules.swing_prior * prior
    return min(1.0, max(0.0, found))


@compiled
def alignment_of(symbol: Symbol, side: int) -> int:
    """Higher timeframes with a trend on this side, less those with one against it: −2 … 2."""
    found = 0
    for frame in range(FRAMES):
        label = side * symbol.frame_label[frame]
        found += int(label > 0) - int(label < 0)
    return found


@compiled
def strength_of(symbol: Symbol, benchmark: Symbol) -> float:
    """Return over 20 bars less that of the benchmark, up to the bar before the newest; 0 where not known.

    One bar back, since bars of one time come in any order: of the benchmark the newest bar that is older than
    the symbol's newest one is taken.
    """
    if same(symbol, benchmark):
        return 0.0
    skip = 1 if benchmark.last_ts >= symbol.last_ts else 0
    known = symbol.bars > STRENGTH_BARS + 1 and benchmark.bars > STRENGTH_BARS + skip
    if not known or benchmark.interval_ns != symbol.interval_ns:
        return 0.0
    newest, mine = benchmark.bars - 1 - skip, symbol.bars - 2
    own = symbol.closes[mine % CLOSES] / symbol.closes[(mine - STRENGTH_BARS) % CLOSES]
    other = benchmark.closes[newest % CLOSES] / benchmark.closes[(newest - STRENGTH_BARS) % CLOSES]
    return float(own - other)


@compiled
def setup_of(symbol: Symbol, rules: Rules) -> tuple[int, int, int, float, float, float]:
    """Label of the trend, and what `entry_of` says of the newest bar; the symbol has its 60 bars."""
    number = symbol.bars - 1
    strength = rsi(symbol.average_gain, symbol.average_loss, symbol.close)
    slot = number % AVERAGES
    ema, before = symbol.emas_20[slot], symbol.emas_20[earlier(slot, SLOPE, AVERAGES)]
    label = label_of(symbol.close, ema, before, strength, rules)
    newest = number % EXTREMES
    prior = earlier(newest, 1, EXTREMES)
    kind, side, entry, stop, target = entry_of(
        label,
        extremes_of(symbol) if label != 0 else (0, 0.0, 0.0),
        symbol.close,
        (symbol.reaches[newest, 0], symbol.reaches[newest, 1]),
        (symbol.reaches[prior, 0], symbol.reaches[prior, 1]),
        symbol.atr_14,
        strength,
        rules,
    )
    return label, kind, side, entry, stop, target


@compiled
def swing(symbol: Symbol, benchmark: Symbol, rules: Rules) -> tuple[int, float]:
    """The vote of the swing source: the side of an entry, or an abstention."""
    label, kind, side, entry, stop, target = setup_of(symbol, rules)
    if kind == NO_ENTRY:
        return ABSTAIN, 0.0
    found = confidence_of(
        label,
        (target - entry) / (entry - stop),
        alignment_of(symbol, side),
        side * strength_of(symbol, benchmark),
        symbol.outcomes,
        symbol.outcome_r,
        rules,
    )
    return ballot(side, 100.0 * found, rules)
