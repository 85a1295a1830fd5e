"""A check that no decision knows the future: what comes after a cut is changed, what came before must stay.

The future of each cut is taken away, drawn anew, and turned upside down. Every signal up to the cut, with its
prices, confidence and votes, and every outcome up to it must be the very same. A rule that reads a later bar
gives itself away as soon as that bar matters to one of its decisions, so the check can prove a cheat and
never prove that there is none: the more cuts, the surer.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from heliograph.common.errors import InputError
from heliograph.consensus.catalogue import choose
from heliograph.consensus.engine import Weights
from heliograph.consensus.engine.layout import VIEWS
from heliograph.fetcher.load import Replay, prepare
from heliograph.fetcher.provider import Rows
from heliograph.lab.bars import PRICES, Bars, Floats, Integers
from heliograph.lab.live import SOURCE, run_live
from heliograph.lab.period import moment_of
from heliograph.lab.strategy import Strategy, rules_of
from heliograph.tracker.closing import Costs

SEED = 20_180_205
SHOWN = 5
"""Differences that are told of one future."""

Flags = NDArray[np.bool_]
Facts = dict[tuple[int, str], str]
"""What was decided: (event time, id) → all that is said of it, as JSON."""
Decide = Callable[[Bars], Facts]
Future = Callable[[Bars, Flags, np.random.Generator], Bars]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One decision that changed with a future that it could not know.

    Attributes:
        cut: after which the bars were changed, as `when` an ISO time; `future` how.
        known: what was decided on the true bars, `changed` on the others; empty where there was nothing.
    """

    cut: str
    future: str
    when: str
    known: str
    changed: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What the check found of one set of sources.

    Attributes:
        sources: that had a vote.
        compared: decisions up to a cut, over all cuts and futures.
        differences: none where nothing looked ahead; at most a few of each future.
    """

    sources: tuple[str, ...]
    compared: int
    differences: list[Difference]


def check(
    decide: Decide, bars: Bars, sources: tuple[str, ...], cuts: int, report: Callable[[], None] = lambda: None
) -> Finding:
    """Compare what is decided on the true bars with what is decided on each future of each cut.

    Raises:
        InputError: there are too few bars for so many cuts.
    """
    true = decide(bars)
    random = np.random.default_rng(SEED)
    compared = 0
    differences: list[Difference] = []
    for cut in cuts_of(bars, true, cuts):
        known = {key: fact for key, fact in true.items() if key[0] <= cut}
        for name, future in FUTURES.items():
            found = decide(future(bars, closes(bars) > cut, random))
            other = {key: fact for key, fact in found.items() if key[0] <= cut}
            compared += len(known)
            differences += list(differing(known, other, moment_of(cut), name))[:SHOWN]
            report()
    return Finding(sources=sources, compared=compared, differences=differences)


def differing(known: Facts, changed: Facts, cut: str, future: str) -> Iterator[Difference]:
    """Every decision that is not the same in both, in order of time."""
    for key in sorted(known.keys() | changed.keys()):
        one, other = known.get(key, ""), changed.get(key, "")
        if one != other:
            yield Difference(cut=cut, future=future, when=moment_of(key[0]), known=one, changed=other)


def closes(bars: Bars) -> Integers:
    """When each bar closed."""
    ends: Integers = bars.ts + np.repeat(bars.lengths, np.diff(bars.starts))
    return ends


def cuts_of(bars: Bars, decided: Facts, count: int) -> list[int]:
    """Closes of bars, spread evenly over those at which something was decided, where there are so many.

    A rule that reads one bar ahead gives itself away only by a decision at the very cut.

    Raises:
        InputError: there are too few bars for so many cuts.
    """
    moments = np.unique(closes(bars))[:-1]
    if not 1 <= count <= len(moments):
        raise InputError(f"cuts: {count}, expected 1 to {len(moments)} with these bars")
    eventful = np.intersect1d(moments, np.array([ts for ts, _ in decided], np.int64))
    some = eventful if len(eventful) >= count else moments
    places = np.linspace(0, len(some) - 1, count + 2)[1:-1]
    found: list[int] = np.unique(some[places.round().astype(np.int64)]).tolist()
    return found


def none(bars: Bars, later: Flags, _random: np.random.Generator) -> Bars:
    """No future at all."""
    return bars.kept(~later)


def anew(bars: Bars, later: Flags, random: np.random.Generator) -> Bars:
    """Each later bar on another price and with another volume."""
    factor = np.exp(random.normal(0.0, 0.1, int(later.sum())))
    volume = random.uniform(0.0, 3.0, int(later.sum()))
    return changed(bars, later, {**dict.fromkeys(PRICES[:-1], factor), "volume": volume})


def reversed_(bars: Bars, later: Flags, _random: np.random.Generator) -> Bars:
    """Later prices turned upside down about the last known close of their symbol: a rise becomes a fall."""
    owner = bars.owner[later]
    known = bars.starts[:-1] + np.add.reduceat((~later).astype(np.int64), bars.starts[:-1]) - 1
    middle = bars.close[np.maximum(known, bars.starts[:-1])][owner]
    turned = {name: middle**2 / getattr(bars, name)[later] for name in ("open", "close")}
    turned["high"] = middle**2 / bars.low[later]
    turned["low"] = middle**2 / bars.high[later]
    return changed(bars, later, {n: values / getattr(bars, n)[later] for n, values in turned.items()})


FUTURES: dict[str, Future] = {"none": none, "drawn anew": anew, "upside down": reversed_}


def changed(
    bars: Bars,
    later: Flags,
    factors: dict[str, Floats],
) -> Bars:
    """Bars whose later rows are multiplied, column by column."""
    columns = {name: getattr(bars, name).copy() for name in factors}
    for name, factor in factors.items():
        columns[name][later] *= factor
    return msgspec.structs.replace(bars, **columns)


def alone(strategy: Strategy, source: str) -> Strategy:
    """A strategy in which one source decides, and speaks whenever it takes a side."""
    chosen = choose((source,))
    key = (*chosen.kernel, *(other.key for other in chosen.others))[0]
    views = {view: {key: 1.0} for view in VIEWS}
    return Strategy(
        weights=Weights(name=strategy.weights.name, views=views, plugins=chosen.plugins),
        rules=rules_of(strategy.rules, {"gate": 0.0}),
        sources=(source,),
        benchmark=strategy.benchmark,
    )


def suspects(strategy: Strategy) -> list[Strategy]:
    """The strategy itself, and each of its sources alone, so that no vote hides behind another."""
    return [strategy, *(alone(strategy, source) for source in strategy.sources)]


def live_decisions(strategy: Strategy) -> Decide:
    """What the live engines decide."""

    def decide(bars: Bars) -> Facts:
        signals, outcomes = run_live(replay_of(bars), 1, strategy, Costs())
        found = {}
        for signal in signals:
            bare = msgspec.structs.replace(signal, cause="", input_seq=0, prev_sha256="")
            found[signal.ts, signal.id] = msgspec.json.encode(bare).decode()
        for outcome in outcomes.values():
            bare_outcome = msgspec.structs.replace(outcome, input_seq=0)
            found[outcome.ts, outcome.id] = msgspec.json.encode(bare_outcome).decode()
        return found

    return decide


def replay_of(bars: Bars) -> Replay:
    """Bars through the quality gate again, as the fetcher would replay them."""
    rows = Rows(
        origin=SOURCE,
        symbols=bars.symbols,
        code=bars.owner.astype(np.int32),
        ts=bars.ts,
        **{name: getattr(bars, name) for name in PRICES},
    )
    return prepare([rows], 1)


def chosen_symbols(symbols: Sequence[str], count: int) -> list[str]:
    """So many of the symbols, spread evenly over them."""
    places = np.unique(np.linspace(0, len(symbols) - 1, min(count, len(symbols))).astype(np.int64))
    return [symbols[place] for place in places]
