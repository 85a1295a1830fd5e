"""The training of a calibration and the trial that decides whether it is taken. Pure."""

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from heliograph.common.calibration import PERCENT, Calibration, Curve, Floats
from heliograph.common.ids import derive_id
from heliograph.tracker.calibration.figures import Figures, brier, figures
from heliograph.tracker.calibration.isotonic import drawn, fit

ENOUGH = 100
"""Outcomes that a calibration needs, and that a symbol needs for a curve of its own."""
JUDGING = 0.2
"""The newest share of the outcomes, which judges and does not train."""
SHRINK = 100.0
"""A curve from n outcomes has the weight n / (n + SHRINK): a symbol's against the pool, the pool's own
against the mean win rate. So few outcomes never claim that something is sure."""
MOST_SYMBOLS = 1000
"""Curves of symbols in one calibration, those with most outcomes: it must fit into one message."""
POOL_POINTS = 256
SYMBOL_POINTS = 24


class Outcomes(NamedTuple):
    """Ended signals of one strategy in the order of their ends.

    Attributes:
        symbols: of each signal; shape (n,), strings.
        raw: raw confidence, 0–100; shape (n,).
        won: 1.0 for a win or an expiry with a profit, else 0.0; shape (n,).
        ended: event time of the end, nanoseconds, never falling; shape (n,).
    """

    symbols: npt.NDArray[np.str_]
    raw: Floats
    won: Floats
    ended: npt.NDArray[np.int64]

    def part(self, start: int, end: int) -> "Outcomes":
        """Some of them in a row."""
        some = slice(start, end)
        return Outcomes(self.symbols[some], self.raw[some], self.won[some], self.ended[some])


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate and its figures on outcomes that did not train it.

    Attributes:
        model: the candidate.
        taken: whether its Brier score is no worse than that of what is in use.
        raw: figures of the raw confidence; `candidate` of the candidate, `current` of what is in use.
    """

    model: Calibration
    taken: bool
    raw: Figures
    candidate: Figures
    current: Figures


def trial(outcomes: Outcomes, strategy: str, current: Calibration | None) -> Trial | None:
    """Train a candidate on the older outcomes and judge it, beside the current one, by the newest.

    Outcomes of one moment are all on one side. Without a current calibration the raw confidence, which then
    passes through, is what the candidate has to reach.

    Returns:
        The trial; None with fewer than `ENOUGH` outcomes, or when none ended before the first judge.
    """
    count = outcomes.raw.size
    if count < ENOUGH:
        return None
    first = outcomes.ended[count - int(np.ceil(JUDGING * count))]
    cut = int(np.searchsorted(outcomes.ended, first))
    if cut == 0:
        return None
    model = train(outcomes.part(0, cut), strategy, until=int(outcomes.ended[-1]), seen=count)
    judges = outcomes.part(cut, count)
    names = judges.symbols.tolist()
    forecast = model.at(names, judges.raw)
    in_use = judges.raw if current is None else current.at(names, judges.raw)
    scores = [figures(values, judges.won) for values in (judges.raw, forecast, in_use)]
    raw, candidate, used = (score for score in scores if score is not None)
    return Trial(
        model=model,
        taken=brier(forecast, judges.won) <= brier(in_use, judges.won),
        raw=raw,
        candidate=candidate,
        current=used,
    )


def train(outcomes: Outcomes, strategy: str, *, until: int, seen: int) -> Calibration:
    """A calibration from outcomes, at least one.

    Args:
        outcomes: what trains it.
        strategy: whose they are.
        until: event time of the newest outcome that takes part in any way.
        seen: how many take part in any way.
    """
    total = outcomes.raw.size
    alone = fit(outcomes.raw, outcomes.won, POOL_POINTS)
    mean = Curve(raw=alone.raw[:1], win=[float(PERCENT * outcomes.won.mean())])
    pool = drawn(alone, mean, total / (total + SHRINK), POOL_POINTS)
    names, counts = np.unique(outcomes.symbols, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:MOST_SYMBOLS]
    curves = {}
    for symbol, count in zip(names[most].tolist(), counts[most].tolist(), strict=True):
        if count < ENOUGH:
            break
        own = outcomes.symbols == symbol
        alone = fit(outcomes.raw[own], outcomes.won[own], SYMBOL_POINTS)
        curves[symbol] = drawn(alone, pool, count / (count + SHRINK), SYMBOL_POINTS)
    since = int(outcomes.ended[0])
    return Calibration(
        version=derive_id("calibration", strategy, since, until, seen),
        strategy=strategy,
        since=since,
        until=until,
        outcomes=seen,
        pool=pool,
        symbols=curves,
    )
