"""The peers' rule as a source of the lab: the side on which the mean of 20 closes is of that of 50."""

from heliograph.consensus.engine import Rules, Weights
from heliograph.consensus.engine.indicators import side_of
from heliograph.consensus.engine.layout import VIEWS, Symbol
from heliograph.consensus.engine.sources import CompiledSource
from heliograph.lab.strategy import Strategy

SLOW = 50


def vote(symbol: Symbol) -> tuple[int, float]:
    """Long while the fast average is above the slow one, short while it is below."""
    return side_of(symbol.close_sum_20 / 20.0, symbol.close_sum_50 / 50.0, symbol.close), 0.9


AVERAGES = CompiledSource(key="averages", minimum_bars=SLOW, weight=1.0, vote=vote)


def strategy() -> Strategy:
    """Nothing but this source decides, whenever it takes a side."""
    views = {view: {AVERAGES.key: 1.0} for view in VIEWS}
    return Strategy(
        weights=Weights(name="averages", version="1", views=views, plugins=(AVERAGES.key,)),
        rules=Rules(gate=0, swing_prices=False),
        sources=("benchmarks.two_averages:AVERAGES",),
    )
