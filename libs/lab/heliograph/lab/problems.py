"""What a person should know of the bars before believing a figure: too few, splits, halts, gaps."""

import msgspec
import numpy as np

from heliograph.consensus.engine.layout import MINIMUM_BARS
from heliograph.lab.bars import Bars
from heliograph.lab.period import date_of

FIRST_VOTE = min(MINIMUM_BARS)
"""Bars under which no source can vote."""
SPLITS = (2.0, 3.0, 4.0, 5.0, 7.0, 8.0, 10.0, 15.0, 20.0, 50.0, 1.5)
"""New shares for an old one in the usual splits; a reverse split is the other way round."""
NEAR = 0.02
"""Share by which a step between closes may miss a split's ratio: the day's own move."""
HALT_BARS = 5
"""Bars in a row without a trade or a move from which a symbol counts as halted."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something about one symbol's bars; `day` where it is first seen."""

    symbol: str
    kind: str
    day: str
    detail: str


def problems_of(bars: Bars) -> list[Problem]:
    """What stands out in the bars of each symbol; nothing is changed or left out because of it."""
    found: list[Problem] = []
    for number, symbol in enumerate(bars.symbols):
        rows = slice(int(bars.starts[number]), int(bars.starts[number + 1]))
        found += too_few(symbol, bars, rows)
        found += splits(symbol, bars, rows)
        found += halts(symbol, bars, rows)
    return found


def too_few(symbol: str, bars: Bars, rows: slice) -> list[Problem]:
    """A symbol that no source can vote on."""
    count = rows.stop - rows.start
    if count >= FIRST_VOTE:
        return []
    detail = f"{count} bar{'s' * (count != 1)}, expected at least {FIRST_VOTE} for a first vote"
    return [Problem(symbol=symbol, kind="too few bars", day=date_of(int(bars.ts[rows.start])), detail=detail)]


def splits(symbol: str, bars: Bars, rows: slice) -> list[Problem]:
    """Steps from a close to the next open that are the ratio of a split, and stay."""
    open_, close = bars.open[rows][1:], bars.close[rows]
    step = close[:-1] / open_
    ratio = np.maximum(step, 1.0 / step)
    near = np.zeros(len(step), dtype=bool)
    for shares in SPLITS:
        near |= np.abs(ratio / shares - 1.0) < NEAR
    return [
        Problem(
            symbol=symbol,
            kind="split?",
            day=date_of(int(bars.ts[rows][n + 1])),
            detail=f"opens at {open_[n]:g} after {close[n]:g}, a step of {ratio[n]:.3g} "
            f"{'down' if step[n] > 1 else 'up'}: unadjusted, it makes signals and outcomes wrong",
        )
        for n in np.flatnonzero(near)
    ]


def halts(symbol: str, bars: Bars, rows: slice) -> list[Problem]:
    """The longest run of bars without volume or move, where it is long."""
    still = (bars.volume[rows] == 0) & (bars.high[rows] == bars.low[rows])
    if not still.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate(([False], still, [False])).astype(np.int8)))
    runs = edges[1::2] - edges[::2]
    longest = int(runs.argmax())
    if runs[longest] < HALT_BARS:
        return []
    return [
        Problem(
            symbol=symbol,
            kind="halted?",
            day=date_of(int(bars.ts[rows][edges[2 * longest]])),
            detail=f"{runs[longest]} bars in a row without a trade or a move",
        )
    ]
