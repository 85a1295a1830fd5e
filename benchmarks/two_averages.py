"""The peers' rule as a source of the lab: the side on which the mean of 20 closes is of that of 50."""

import numpy as np

from heliograph.consensus.engine import Rules, Weights
from heliograph.consensus.engine.columns import Columns
from heliograph.consensus.engine.layout import VIEWS, Floats, Integers
from heliograph.consensus.engine.sources import CheapSource
from heliograph.lab.strategy import Strategy

FAST, SLOW = 20, 50


def vote(columns: Columns) -> tuple[Integers, Floats]:
    """Long while the fast average is above the slow one, short while it is below."""
    side = np.sign(columns.sma(FAST) - columns.sma(SLOW)).astype(np.int64)
    return side, np.full(len(side), 0.9)


AVERAGES = CheapSource(key="averages", minimum_bars=SLOW, weight=1.0, vote=vote)


def strategy() -> Strategy:
    """Nothing but this source decides, whenever it takes a side."""
    views = {view: {AVERAGES.key: 1.0} for view in VIEWS}
    return Strategy(
        weights=Weights(name="averages", version="1", views=views, plugins=(AVERAGES.key,)),
        rules=Rules(gate=0),
        sources=("benchmarks.two_averages:AVERAGES",),
    )
