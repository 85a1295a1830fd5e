"""The columnar driver and the live objects say the same, bit by bit."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.common.errors import InvariantError
from heliograph.consensus.engine import Rules, Weights
from heliograph.consensus.engine.layout import ABSTAIN, VIEWS, Symbol
from heliograph.consensus.engine.sources import DEAR, CompiledSource
from heliograph.lab import columnar
from heliograph.lab.bars import Bars
from heliograph.lab.columnar import rounded, run_columnar
from heliograph.lab.live import run_live
from heliograph.lab.lookahead import replay_of
from heliograph.lab.strategy import Strategy, live_strategy
from heliograph.lab.trades import Trades, ids, in_order, trades_of
from heliograph.tracker.closing import Costs

from .conftest import START, walk

law = settings(max_examples=20, deadline=None)
HOUR = 3600 * 10**9


def market(seed: int, volatility: float) -> Bars:
    """Four hourly symbols and a daily one, each with holes, some half-hours, and another beginning."""
    random = np.random.default_rng(seed)
    counts = [500, 1, 49, 360, 300]
    columns, ts = [], []
    for number, count in enumerate(counts):
        step = 24 * HOUR if number == 4 else HOUR
        places = np.sort(random.choice(count + 5, count, replace=False))
        early = (random.random(count) < 0.1) * (step // 2)
        ts.append(START + (places + number) * step - early)
        columns.append(walk(seed + number, count, volatility))
    found = np.concatenate(columns, axis=1)
    return Bars(
        symbols=["A B", "AAPL", "BRK.B", "BTC/USD", "DAY"],
        intervals=["1h", "1h", "1h", "1h", "1d"],
        starts=np.concatenate(([0], np.cumsum(counts))),
        ts=np.concatenate(ts),
        **dict(zip(("open", "high", "low", "close", "volume"), np.ascontiguousarray(found), strict=True)),
    )


def live(bars: Bars, strategy: Strategy, costs: Costs) -> tuple[Trades, list[str]]:
    """The trades of the live objects, and the ids that they gave."""
    signals, outcomes = run_live(replay_of(bars), 1, strategy, costs)
    return trades_of(in_order(signals), outcomes, bars, strategy.keys), [signal.id for signal in signals]


@law
@given(st.integers(0, 10**6), st.sampled_from([0.001, 0.01, 0.05]), st.sampled_from([0.0, 60.0, 75.0]))
def test_both_paths_say_the_same(seed: int, volatility: float, gate: float) -> None:
    bars = market(seed, volatility)
    strategy = msgspec.structs.replace(live_strategy(), rules=Rules(gate=gate, expiry_days=5))
    costs = Costs(commission=0.3)
    expected, identities = live(bars, strategy, costs)
    found = run_columnar(bars, strategy, costs)
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()
    assert sorted(ids(found, bars, np.full(len(found), strategy.name))) == sorted(identities)


@pytest.mark.parametrize("source", live_strategy().sources)
def test_both_paths_say_the_same_of_each_source(source: str) -> None:
    bars = market(3, 0.01)
    strategy = Strategy(
        weights=Weights(name="one", views={view: {source: 1.0} for view in VIEWS}),
        rules=Rules(gate=50),
        sources=(source,),
    )
    expected, _ = live(bars, strategy, Costs())
    found = run_columnar(bars, strategy, Costs())
    assert len(found) > 10
    assert found.tobytes() == expected.tobytes()


def averages(symbol: Symbol) -> tuple[int, float]:
    """The side on which the mean of 20 closes is of that of 50; silent while they are close."""
    fast, slow = symbol.close_sum_20 / 20.0, symbol.close_sum_50 / 50.0
    apart = (fast - slow) / slow
    if abs(apart) < 0.001:
        return ABSTAIN, 0.0
    return (1 if apart > 0.0 else -1), min(1.0, 0.5 + 20.0 * abs(apart))


def never(_symbol: Symbol) -> tuple[int, float]:
    """Gives what is no vote."""
    return 3, 0.5


AVERAGES = CompiledSource(key="averages", minimum_bars=50, weight=0.4, vote=averages)
NEVER = CompiledSource(key="never", minimum_bars=300, weight=0.4, vote=never)


@pytest.mark.parametrize("beside", [(), ("trend",), live_strategy().sources])
def test_both_paths_say_the_same_of_a_compiled_plug_in(
    beside: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DEAR, "averages", AVERAGES)
    weights = Weights(name="mine", version="1", plugins=("averages",))
    sources = (*beside, "averages")
    strategy = msgspec.structs.replace(
        live_strategy(), weights=weights, sources=sources, rules=Rules(gate=55)
    )
    bars = market(3, 0.01)
    assert strategy.by_columns
    expected, identities = live(bars, strategy, Costs())
    found = run_columnar(bars, strategy, Costs())
    assert set(found["direction"][:, -1].tolist()) == {-1, 1, 2} if beside else {-1, 1}
    assert found.tobytes() == expected.tobytes()
    assert sorted(ids(found, bars, np.full(len(found), strategy.name))) == sorted(identities)


def test_a_compiled_plug_in_that_does_not_vote_is_named_with_its_symbol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(DEAR, "never", NEVER)
    strategy = msgspec.structs.replace(live_strategy(), sources=("trend", "never"))
    with pytest.raises(InvariantError, match=r"source never: 3 with 0\.5 for A B, expected"):
        run_columnar(market(3, 0.01), strategy, Costs())


def test_more_signals_than_there_was_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    bars, strategy = market(4, 0.01), live_strategy()
    whole = run_columnar(bars, strategy, Costs())
    monkeypatch.setattr(columnar, "ROOM", 2)
    assert len(whole) > 16
    assert run_columnar(bars, strategy, Costs()).tobytes() == whole.tobytes()


def test_no_bars_give_no_signals(daily: Callable[..., Bars]) -> None:
    assert len(run_columnar(daily(A=[1.0]).kept(np.zeros(1, bool)), live_strategy(), Costs())) == 0


@given(st.floats(0, 100), st.sampled_from([2, 6]))
def test_rounding_is_that_of_python(value: float, digits: int) -> None:
    middle = float(np.floor(value * 10**digits) + 0.5) / 10**digits
    values = np.array([value, middle, np.nextafter(middle, 0), np.nextafter(middle, 200)])
    assert rounded(values, digits).tolist() == [round(v, digits) for v in values.tolist()]
