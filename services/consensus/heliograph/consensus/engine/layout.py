"""How a shard's state lies in memory: one record a symbol, its rings and its row of the vote matrix inside.

Each class is at once the type that mypy sees and, by `layout_of`, the record that numba and numpy see. (A
kernel that hands records on counts no references; with one array a field, counting took most of its time.)
"""

from typing import Annotated, Final, get_args, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

from heliograph.common.errors import InvariantError
from heliograph.common.patterns import FEATURES

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Records = NDArray[np.void]

CLOSES: Final = 201
"""Closes held of a symbol: the 200 of the longest average and the one leaving it."""
VOLUMES: Final = 21
EXTREMES: Final = 40
"""Highs and lows held: the window of a swing."""
SLOPE: Final = 6
"""Bars over which the slope of EMA20 is taken."""
AVERAGES: Final = SLOPE + 1
LINE: Final = 64
"""Bytes that a cache reads at once; the record of each symbol begins with one."""
FRAMES: Final = 2
"""Higher timeframes kept of each symbol."""

TREND: Final = 0
TECHNICAL: Final = 1
SWING: Final = 2
SOURCES: Final = ("trend", "technical", "swing")
"""The columns of the vote matrix."""
MINIMUM_BARS: Final = (50, 35, 60)
"""Bars from which each source is eligible."""
ABSTAIN: Final = 2
"""In place of a direction: the source cannot say."""
UNHEARD: Final = 3
"""In place of a direction: the source has not been heard."""
OTHERS: Final = 16
"""Sources besides SOURCES that there is room for: plug-ins, and those whose votes come from outside."""
ARMS: Final = 2
"""Strategies that may run beside each other on the same bars."""
CASES: Final = 64
"""Ended signals of a symbol that the pattern source remembers."""

UNKNOWN: Final = 0
CRISIS: Final = 1
BULL: Final = 2
BEAR: Final = 3
CHOP: Final = 4
REGIMES: Final = ("UNKNOWN", "CRISIS", "BULL", "BEAR", "CHOP")

TRENDING: Final = 1
CONSOLIDATION: Final = 2
VOLATILE: Final = 3
VIEWS: Final = ("UNKNOWN", "TRENDING", "CONSOLIDATION", "VOLATILE")
"""The rows of the table of weights."""

BARS: Final = 0
SIGNALS: Final = 1
STALE: Final = 2
OTHER_INTERVAL: Final = 3
BAD_BAR: Final = 4
WARMING: Final = 5
QUORUM: Final = 6
NEUTRAL: Final = 7
CONFIDENCE: Final = 8
OPEN_ALREADY: Final = 9
PRICE: Final = 10
EVENT: Final = 11
COUNTS: Final = (
    "bars",
    "signals",
    "stale",
    "other_interval",
    "bad_bar",
    "warming",
    "quorum",
    "neutral",
    "confidence",
    "open",
    "price",
    "event",
)
"""What became of each row: taken (`bars`) or refused (`stale`, `other_interval`, `bad_bar`); and what came of
those taken: `signals`, or the reason why there was none."""


class Symbol:
    """All that is known of one symbol (prices in quote currency, returns as fractions); zero at first.

    In the order in which a bar needs it: what every bar reads and writes lies in the first seven lines of 64
    bytes, and the rings behind all else.

    Attributes:
        key: hash of its name, which gives it to an arm.
        bars: taken so far.
        last_ts: start of the newest one, nanoseconds; `interval_ns` the length of all of them.
        close: of the newest bar.
        close_sum_20: sum of the newest 20 closes; `close_sum_50`, `close_sum_200`, `volume_sum_20` likewise.
        return_sum_20: sum of the newest 20 returns, `return_squares_20` of their squares; the same for 50.
        ema_12: exponential averages as in TA-Lib's MACD, from the 26th bar; `macd_signal` from the 34th.
        average_gain: Wilder's averages over 14 changes, from the 15th bar: `average_loss`, `atr_14` likewise.
        closes: ring; bar number n (from 0) lies at n mod the length; `volumes` likewise.
        reaches: ring of high and low, likewise.
        high_bar: number of the bar with the highest of those highs, of equal ones the latest; `low_bar`
            that of the lowest low; `highest`, `lowest` those two.
        emas_20: ring of EMA20, from the 20th bar, likewise.
        frame_period: of each higher timeframe the number of its bar under way plus 1; 0 where there is none.
        frame_bars: complete bars so far, `frame_close` the close of the newest one.
        frame_emas: rings of their EMA20 (a sum of closes until there are 20); `frame_gain` and `frame_loss`
            as `average_gain`; `frame_label` their trend.
        outcomes: signals that have ended, `outcome_r` the sum of their R.
        direction: the row of the vote matrix: −1, 0, +1 or ABSTAIN of each source's newest word.
        confidence: 0–1 of each source; `voted_at` its event time, nanoseconds.
        expires: of the signals under way, two an arm (BUY, SELL); 0 where there is none.
        entry: of those signals; `stop`, `target` likewise.
    """

    bars: int
    last_ts: int
    interval_ns: int
    close: float
    close_sum_20: float
    close_sum_50: float
    close_sum_200: float
    volume_sum_20: float
    return_sum_20: float
    return_squares_20: float
    return_sum_50: float
    return_squares_50: float
    ema_12: float
    ema_26: float
    macd_signal: float
    average_gain: float
    average_loss: float
    atr_14: float
    high_bar: int
    low_bar: int
    highest: float
    lowest: float
    frame_period: Annotated[Integers, FRAMES]
    emas_20: Annotated[Floats, AVERAGES]
    key: int
    expires: Annotated[Integers, 2 * ARMS]
    frame_label: Annotated[Integers, FRAMES]
    outcomes: int
    outcome_r: float
    direction: Annotated[Integers, len(SOURCES)]
    confidence: Annotated[Floats, len(SOURCES)]
    voted_at: Annotated[Integers, len(SOURCES)]
    entry: Annotated[Floats, 2 * ARMS]
    stop: Annotated[Floats, 2 * ARMS]
    target: Annotated[Floats, 2 * ARMS]
    frame_bars: Annotated[Integers, FRAMES]
    frame_close: Annotated[Floats, FRAMES]
    frame_emas: Annotated[Floats, FRAMES, AVERAGES]
    frame_gain: Annotated[Floats, FRAMES]
    frame_loss: Annotated[Floats, FRAMES]
    volumes: Annotated[Floats, VOLUMES]
    reaches: Annotated[Floats, EXTREMES, 2]
    closes: Annotated[Floats, CLOSES]


class Table:
    """What a strategy is besides its rules.

    Attributes:
        weights: of SOURCES by view, normalised to 1 over all configured sources in each; `others` of the
            others in their order.
        voting: bit n where the n-th of SOURCES has a weight in some view of some strategy.
        benchmark: row of the symbol that strength is relative to; −1 without one.
        rollout: share of symbols and days that this strategy is given in place of the first, 0–1.
    """

    weights: Annotated[Floats, len(VIEWS), len(SOURCES)]
    others: Annotated[Floats, len(VIEWS), OTHERS]
    voting: int
    benchmark: int
    rollout: float


class Seat:
    """What the kernel must know of one of the other sources.

    Attributes:
        tier: in which its votes are asked for, the cheapest first; 0 where it is never asked.
        fresh_ns: age at the close of the bar up to which a vote counts.
        off_hours: what its weight is multiplied by while the stock market is closed.
    """

    tier: int
    fresh_ns: int
    off_hours: float


class Program:
    """What the kernel must know of a compiled plug-in, and what it has just said.

    Attributes:
        address: of its machine code.
        minimum_bars: from which it is eligible.
        direction: −1, 0, +1 or ABSTAIN; `confidence` 0–1.
        wrong: 1 where that is no vote.
    """

    address: int
    minimum_bars: int
    direction: int
    confidence: float
    wrong: int


class Heard:
    """A cell of the vote matrix of the other sources: what counts, and what has come after it.

    Attributes:
        direction: −1, 0, +1, ABSTAIN or UNHEARD; `confidence` 0–1, `observed` event time in nanoseconds.
        next_direction: what is taken over at the next evaluation that may; likewise.
    """

    direction: int
    confidence: float
    observed: int
    next_direction: int
    next_confidence: float
    next_observed: int


class Pending:
    """How far the decision on a symbol's newest bar is.

    Attributes:
        deadline: event time at which it falls; 0 where there is none to be made.
        tier: that has been asked; 0 for none yet.
        eligible: bit n for the n-th other source; `open` 1 where the stock market was open in that bar.
        closed_by: start of the bar that has ended signals before it was absorbed.
    """

    deadline: int
    tier: int
    eligible: int
    open: int
    closed_by: int


class Cases:
    """What the pattern source remembers of one symbol: the looks of its signals, and what became of them.

    Attributes:
        open: of the newest bar.
        now: features of the newest bar, as `heliograph.common.patterns.FEATURES` names them.
        begun: of the signals under way (as in Symbol) 1 where `looks` has the features of their bar.
        held: cases so far; number n (from 0) lies at n mod CASES.
        past: features of the ended ones; `ended` event time of their end, nanoseconds.
        move: their R multiple for a BUY, its opposite for a SELL: which way the price went, in initial risks.
    """

    open: float
    now: Annotated[Floats, len(FEATURES)]
    begun: Annotated[Integers, 2 * ARMS]
    looks: Annotated[Floats, 2 * ARMS, len(FEATURES)]
    held: int
    past: Annotated[Floats, CASES, len(FEATURES)]
    ended: Annotated[Integers, CASES]
    move: Annotated[Floats, CASES]


class Asked:
    """A request that came of a row: the sources of `tier` may yet carry it over the gate (bound, 0–100).

    Bit n of `sources` is set where the n-th other source is asked.
    """

    position: int
    tier: int
    sources: int
    deadline: int
    bound: float


class Decision(msgspec.Struct):
    """A row of a batch that passed the gate.

    Attributes:
        position: in the batch.
        side: +1 BUY, −1 SELL; the prices and `expires` (nanoseconds) as in the signal.
        raw: strength of the consensus, 0–100.
        agreement: share of the voting weight on the signal's side, 0–1.
        voted: weight of the sources that voted, 0–1; `regime` and `view` are numbers of REGIMES and VIEWS.
        arm: the strategy that decided.
    """

    position: int
    side: int
    entry: float
    stop: float
    target: float
    expires: int
    raw: float
    agreement: float
    voted: float
    regime: int
    view: int
    arm: int


def layout_of(record: type, multiple: int = 1) -> np.dtype[np.void]:
    """The record of little-endian 64-bit numbers, and arrays of them, that a class of annotations says.

    Its size is brought to the next multiple of some bytes by zeros at its end, a field `rest`.
    """
    fields: list[tuple[str, str, tuple[int, ...]]] = []
    for name, hint in get_type_hints(record, include_extras=True).items():
        kind, *shape = get_args(hint) or (hint,)
        fields.append((name, "<i8" if kind in (int, Integers) else "<f8", tuple(shape)))
    spare = -np.dtype(fields).itemsize % multiple
    if spare:
        fields.append(("rest", "<i8", (spare // 8,)))
    return np.dtype(fields)


def offset_of(layout: np.dtype[np.void], field: str) -> int:
    """Bytes before a field of a record."""
    if layout.fields is None:
        raise InvariantError(f"layout: {layout} has no fields")
    return layout.fields[field][1]


SYMBOL = layout_of(Symbol, LINE)
TABLE = layout_of(Table)
SEAT = layout_of(Seat)
PROGRAM = layout_of(Program)
HEARD = layout_of(Heard)
PENDING = layout_of(Pending)
MEMORY = layout_of(Cases)
ASKED = layout_of(Asked)
DECISION = layout_of(Decision)
