"""The rounds of polling over some symbols: tiers, intervals and groups follow what the bars tell. Pure."""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from heliograph.fetcher.live.adaptive import Pace, intervals
from heliograph.fetcher.live.correlation import groups
from heliograph.fetcher.live.market import always_open
from heliograph.fetcher.live.recent import Recent
from heliograph.fetcher.live.schedule import Plan, due, wait
from heliograph.fetcher.live.tiers import tiers
from heliograph.fetcher.provider import Numbers, Rows


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How symbols are polled.

    Attributes:
        high: symbols of the tier HIGH in any case, `medium` of MEDIUM; `busiest` more are HIGH (see `tiers`).
        pace: intervals and their factors.
        correlation: from which on symbols are a group; `call_symbols` of a group and of a call at most.
    """

    high: frozenset[str]
    medium: frozenset[str]
    busiest: int
    pace: Pace
    correlation: float
    call_symbols: int


class Rounds:
    """When each of some symbols was asked for, and which come next; times in seconds of one clock."""

    def __init__(self, symbols: Sequence[str], rules: Rules) -> None:
        self._symbols = list(symbols)
        self._rules = rules
        self._recent = Recent(symbols)
        self._pair = np.array([always_open(symbol) for symbol in symbols], dtype=bool)
        self._group: NDArray[np.int64] = np.arange(len(symbols), dtype=np.int64)
        self._judged: tuple[NDArray[np.int8], Numbers] | None = None
        self._asked: Numbers = np.full(len(symbols), -np.inf)

    def take(self, rows: Rows, now_ns: int) -> None:
        """Bars have come by a time; what begins later is none."""
        if len(rows.ts):
            self._recent.take(rows, now_ns)
            self._judged = None

    def grouping(self) -> Callable[[], NDArray[np.int64]]:
        """What groups the symbols anew by the bars of the last hour, the most volatile first.

        It holds all that it needs, so that it may run in a thread; `group` takes what it gives.
        """
        volatility = np.nan_to_num(self._recent.volatility(), nan=-1.0)
        order = np.argsort(-volatility, kind="stable")
        rules = self._rules
        return partial(groups, self._recent.returns(), order, rules.correlation, rules.call_symbols)

    def group(self, found: NDArray[np.int64]) -> None:
        """The groups from now on."""
        self._group = found

    def next_call(self, now: float, *, stocks_open: bool) -> list[str]:
        """The symbols to ask for first now, in one call; they count as asked. Empty when none is due."""
        calls = due(self._plan(stocks_open=stocks_open), self._asked, now)
        if not calls:
            return []
        self._asked[calls[0]] = now
        return [self._symbols[row] for row in calls[0]]

    def wait(self, now: float, *, stocks_open: bool) -> float:
        """Seconds until a symbol is due, as things are now."""
        return wait(self._plan(stocks_open=stocks_open), self._asked, now)

    def _plan(self, *, stocks_open: bool) -> Plan:
        rules = self._rules
        tier, volatility = self._judged = self._judged or self._judge()
        return Plan(
            market=self._pair.astype(np.int64),
            tier=tier,
            interval=intervals(rules.pace, tier, volatility, self._pair | stocks_open),
            least=rules.pace.least()[tier],
            volatility=volatility,
            group=self._group,
            limit=rules.call_symbols,
        )

    def _judge(self) -> tuple[NDArray[np.int8], Numbers]:
        """The tier and the volatility of each symbol; they change with the bars alone."""
        rules = self._rules
        tier = tiers(
            self._symbols,
            self._recent.traded(),
            high=rules.high,
            medium=rules.medium,
            busiest=rules.busiest,
        )
        return tier, self._recent.volatility()
