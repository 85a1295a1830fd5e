"""The pattern source: features of the bar, cases of the symbol's own signals, a vote that knows no future."""

from collections.abc import Callable

import numpy as np
import pytest

from heliograph.common.errors import InputError
from heliograph.common.events import BarBatch, Signal, VoteBatch
from heliograph.common.patterns import FEATURES
from heliograph.consensus.catalogue import choose
from heliograph.consensus.engine import Engine, Rules, Weights
from heliograph.consensus.engine.features import FEATURE_BARS
from heliograph.consensus.engine.layout import ABSTAIN, CASES
from heliograph.consensus.engine.sources import PATTERN

from .conftest import START, batch_of

Walk = Callable[..., list[BarBatch]]
SYMBOLS = ["AAPL", "BTC/USD", "MSFT"]
HOUR = 3600 * 10**9
VOLATILITY = {"low": 0, "middle": 1, "high": 2}


def returning(symbols: list[str], bars: int, period: int = 40) -> list[BarBatch]:
    """A market that does the same again and again, so that its cases are alike; each symbol its own way."""
    random = np.random.default_rng(3)
    steps = random.normal(0.0, 0.02, (period, len(symbols)))
    steps -= steps.mean(axis=0)
    close = 50 * np.exp(np.cumsum(np.resize(steps, (bars, len(symbols))), axis=0))
    wick = 1 + np.resize(random.uniform(0, 0.01, (period, len(symbols))), close.shape)
    open_ = close / np.exp(np.resize(steps, close.shape) / 2)
    high, low = np.maximum(open_, close) * wick, np.minimum(open_, close) / wick
    volume = np.full(len(symbols), 1e6)
    return [
        batch_of(symbols, START + n * HOUR, "1h", np.array([open_[n], high[n], low[n], close[n], volume]))
        for n in range(bars)
    ]


def engine(**changes: object) -> Engine:
    return Engine(Weights(version="3"), Rules(gate=60), others=[PATTERN], **changes)  # type: ignore[arg-type]


def run(one: Engine, batches: list[BarBatch], first: int = 1) -> list[Signal]:
    return [signal for seq, batch in enumerate(batches, first) for signal in one.apply(batch, seq)]


@pytest.fixture(scope="module")
def market() -> list[BarBatch]:
    return returning(SYMBOLS, 1500)


@pytest.fixture(scope="module")
def signals(market: list[BarBatch]) -> list[Signal]:
    return run(engine(), market)


def test_the_features_are_those_of_the_bar(walk: Walk) -> None:
    """Each against what the engine tells a person, and against the bars themselves."""
    batches = walk(11, SYMBOLS, 260, volatility=0.02)
    one = engine()
    seen = set()
    for n, batch in enumerate(batches):
        one.apply(batch, n + 1)
        assert one._others is not None
        if n + 1 < FEATURE_BARS:
            continue
        for row, symbol in enumerate(SYMBOLS):
            picture = one.swing(symbol)
            assert picture is not None
            now = dict(zip(FEATURES, one._others.memory["now"][row].tolist(), strict=True))
            close, before = batch.close[row], batches[n - 1]
            assert now["ema_slope"] == pytest.approx(picture.slope)
            assert now["rsi"] == pytest.approx(picture.rsi)
            assert now["atr_percent"] == pytest.approx(100 * picture.atr / close)
            assert now["above_ema"] == (close > picture.ema)
            spread = before.high[row] - before.low[row]
            assert now["previous_range_percent"] == pytest.approx(100 * spread / before.close[row])
            assert now["gap_percent"] == pytest.approx(100 * (batch.open[row] / before.close[row] - 1))
            assert now["in_pocket"] == (picture.pocket[0] <= close <= picture.pocket[1])
            end, size = (picture.high if picture.swing > 0 else picture.low), picture.high - picture.low
            place = picture.swing * (end - close) / size
            assert now["pocket_place"] == pytest.approx(place, abs=1e-12)
            assert now["r"] == pytest.approx(picture.reward)
            trend = (now["trend_up"], now["trend_down"], now["sideways"])
            assert trend == (picture.label > 0, picture.label < 0, picture.label == 0)
            session = (now["session_open"], now["session_close"])
            assert session == (picture.time_of_day == "open", picture.time_of_day == "close")
            assert now["volatility_regime"] == VOLATILITY[picture.volatility]
            assert 0 <= now["model_confidence"] <= 0.95
            seen |= {
                picture.volatility,
                picture.time_of_day,
                f"{picture.label > 0}",
                f"pocket {now['in_pocket']}",
            }
    assert seen >= {"low", "middle", "high", "open", "close", "mid", "outside", "pocket 1.0", "pocket 0.0"}


def test_without_cases_it_says_nothing_and_changes_nothing(walk: Walk) -> None:
    batches = walk(5, SYMBOLS, 200, volatility=0.02)
    alone = Engine(Weights(version="3"), Rules(gate=60))
    beside = engine()
    assert run(beside, batches) == run(alone, batches)
    assert beside.counts == alone.counts
    assert beside.state.symbols.tobytes() == alone.state.symbols.tobytes()


def test_it_votes_where_enough_of_what_was_alike_has_ended(signals: list[Signal]) -> None:
    votes = [v for signal in signals for v in signal.votes if v.source == "pattern"]
    assert len(votes) > 20
    assert {vote.direction for vote in votes} == {-1, 1}
    assert all(0.5 <= vote.confidence <= 0.95 and vote.age_ns == 0 for vote in votes)
    for signal in signals:
        assert sum(vote.weight for vote in signal.votes) == pytest.approx(1, abs=1e-5)


def test_every_signal_with_enough_bars_is_a_case(market: list[BarBatch]) -> None:
    one = engine()
    made = run(one, market[:700])
    first = START + FEATURE_BARS * HOUR
    assert [case.signal for case in one.cases] == [s.id for s in made if s.ts >= first]
    assert {(case.signal, case.symbol, case.ts) for case in one.cases} <= {
        (s.id, s.symbol, s.ts) for s in made
    }
    assert all(len(set(case.features)) > 5 for case in one.cases)
    assert one._others is not None
    begun = one._others.memory["begun"].sum()
    assert one._others.memory["held"].sum() == len(one.cases) - begun


def test_a_bar_does_not_find_what_ended_with_it(market: list[BarBatch]) -> None:
    """With all cases moved to the end of the newest bar none may be found there."""
    one, later = engine(), engine()
    run(one, market[:1200])
    spoken = 0
    for n in range(1200, 1240):
        later.restore(one.snapshot())
        assert one._others is not None
        assert later._others is not None
        assert (later._others.memory["held"][:3] > CASES).all()
        later._others.memory["ended"][:] = market[n].ts + HOUR
        for each in (one, later):
            each.apply(market[n], n + 1)
        assert (later._others.heard["direction"][:3, 0] == ABSTAIN).all()
        spoken += int((one._others.heard["direction"][:3, 0] != ABSTAIN).sum())
    assert spoken > 10


def test_it_depends_on_its_own_symbol_alone(market: list[BarBatch], signals: list[Signal]) -> None:
    for place, symbol in enumerate(SYMBOLS):
        own = [
            batch_of([symbol], b.ts, b.interval, np.array([[getattr(b, c)[place]] for c in
                     ("open", "high", "low", "close", "volume")]))
            for b in market
        ]  # fmt: skip
        found = run(engine(), own)
        assert [(s.id, s.votes) for s in found] == [(s.id, s.votes) for s in signals if s.symbol == symbol]


def test_it_goes_on_from_a_snapshot(market: list[BarBatch], signals: list[Signal]) -> None:
    first, second, whole = engine(), engine(), engine()
    found = run(first, market[:900])
    second.restore(first.snapshot())
    assert second.snapshot() == first.snapshot()
    assert second.cases == first.cases
    run(whole, market)
    assert found + run(second, market[900:], 901) == signals
    assert second.snapshot() == whole.snapshot()


def test_a_snapshot_from_before_it_was_there_begins_without_cases(market: list[BarBatch]) -> None:
    before = Engine()
    run(before, market[:300])
    one = engine()
    one.restore(before.snapshot())
    assert one.cases == []
    run(one, market[300:400], 301)
    assert one.cases


def test_it_is_named_like_the_others_and_takes_no_votes_from_outside(market: list[BarBatch]) -> None:
    chosen = choose(("trend", "pattern"))
    assert (chosen.kernel, chosen.others, chosen.plugins) == (("trend",), (PATTERN,), ())
    one = engine()
    one.apply(market[0], 1)
    votes = VoteBatch(
        id="v",
        ts=START,
        source="pattern",
        symbols=["AAPL"],
        direction=[1],
        confidence=[0.9],
        observed=[START],
    )
    with pytest.raises(InputError, match="'pattern' is computed from bars here"):
        one.apply_votes(votes, 2)
