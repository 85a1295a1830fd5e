"""Plug-ins: votes by a pure function over columns, in the same engine."""

from collections.abc import Callable

import numpy as np
import pytest

from heliograph.common.errors import InputError, InvariantError
from heliograph.common.events import BarBatch, Signal
from heliograph.consensus.engine import Engine, Rules, Weights
from heliograph.consensus.engine.columns import Columns
from heliograph.consensus.engine.layout import ABSTAIN, Floats, Integers
from heliograph.consensus.engine.sources import CheapSource

Walk = Callable[..., list[BarBatch]]
SYMBOLS = ["AAPL", "BTC/USD", "MSFT"]


def breakout(columns: Columns) -> tuple[Integers, Floats]:
    """The side on which the close has left the range of the nine bars before."""
    top, bottom = columns.highs(10)[:, :-1].max(axis=1), columns.lows(10)[:, :-1].min(axis=1)
    direction = np.where(columns.close > top, 1, np.where(columns.close < bottom, -1, ABSTAIN))
    return direction, np.full(len(columns.symbols), 0.9)


BREAKOUT = CheapSource(key="breakout", minimum_bars=10, weight=0.3, vote=breakout)


def run(engine: Engine, batches: list[BarBatch], first: int = 1) -> list[Signal]:
    return [signal for seq, batch in enumerate(batches, first) for signal in engine.apply(batch, seq)]


def test_a_plug_in_without_weight_changes_nothing(walk: Walk) -> None:
    """The kernel in parts decides as the whole one."""
    batches = walk(5, SYMBOLS, 400, volatility=0.02)
    silent = CheapSource(key="breakout", minimum_bars=10, weight=0.0, vote=breakout)
    alone, beside = Engine(), Engine(others=[silent])
    expected = run(alone, batches)
    assert run(beside, batches) == expected
    assert expected
    assert beside.counts == alone.counts
    assert beside.state.symbols.tobytes() == alone.state.symbols.tobytes()


def test_its_votes_are_weighed_and_told(walk: Walk) -> None:
    batches = walk(5, SYMBOLS, 400, volatility=0.02)
    plain = run(Engine(), batches)
    signals = run(Engine(Weights(version="3", plugins=("breakout",)), others=[BREAKOUT]), batches)
    assert [s.id for s in signals] != [s.id for s in plain]
    mine = [vote for signal in signals for vote in signal.votes if vote.source == "breakout"]
    assert mine
    assert {vote.direction for vote in mine} <= {-1, 1}
    assert {vote.confidence for vote in mine} == {0.9}
    assert all(vote.age_ns == 0 for vote in mine)
    for signal in signals:
        assert sum(vote.weight for vote in signal.votes) == pytest.approx(1, abs=1e-5)


def test_columns_are_those_of_the_bars(walk: Walk) -> None:
    """Every figure that a plug-in is shown, against the bars themselves."""
    batches = walk(11, SYMBOLS, 300)
    closes = np.array([batch.close for batch in batches])
    highs = np.array([batch.high for batch in batches])
    volumes = np.array([batch.volume for batch in batches])
    seen = []

    def look(columns: Columns) -> tuple[Integers, Floats]:
        n = int(columns.bars[0])
        seen.append(n)
        assert columns.symbols == SYMBOLS
        assert (columns.close == closes[n - 1]).all()
        assert (columns.high == highs[n - 1]).all()
        assert (columns.volume == volumes[n - 1]).all()
        assert columns.ts == batches[n - 1].ts
        if n >= 201:
            assert (columns.closes(201) == closes[n - 201 : n].T).all()
            assert (columns.volumes(21) == volumes[n - 21 : n].T).all()
            assert columns.sma(50) == pytest.approx(closes[n - 50 : n].mean(axis=0))
            assert ((columns.rsi_14 > 0) & (columns.rsi_14 < 100)).all()
            assert (columns.atr_14 > 0).all()
            assert columns.ema_20 == pytest.approx(closes[n - 20 : n].mean(axis=0), rel=0.1)
        elif n < 10:
            assert np.isnan(columns.closes(10)[:, : 10 - n]).all()
        return np.full(3, ABSTAIN), np.zeros(3)

    run(Engine(others=[CheapSource(key="look", minimum_bars=3, weight=0.1, vote=look)]), batches)
    assert seen == list(range(3, 301))


@pytest.mark.parametrize("count", [0, 202])
def test_no_more_closes_than_are_held(walk: Walk, count: int) -> None:
    def vote(columns: Columns) -> tuple[Integers, Floats]:
        columns.closes(count)
        return np.zeros(1, np.int64), np.zeros(1)

    source = CheapSource(key="greedy", minimum_bars=1, weight=0.1, vote=vote)
    with pytest.raises(InputError, match=rf"count: {count}, expected 1 to 201"):
        run(Engine(others=[source]), walk(1, ["A"], 2))


@pytest.mark.parametrize(
    ("direction", "confidence", "message"),
    [
        ([5], [0.5], "5 with 0.5 for A"),
        ([1], [1.5], "1 with 1.5 for A"),
        ([1], [np.nan], "1 with nan for A"),
        ([1, 1], [0.5], r"shapes \(2,\) and \(1,\), expected \(1,\)"),
    ],
)
def test_impossible_votes_stop_it(
    walk: Walk, direction: list[int], confidence: list[float], message: str
) -> None:
    source = CheapSource(
        key="broken", minimum_bars=1, weight=0.1,
        vote=lambda _: (np.array(direction), np.array(confidence)),
    )  # fmt: skip
    with pytest.raises(InvariantError, match=f"source broken: {message}"):
        run(Engine(others=[source]), walk(1, ["A"], 2))


def test_the_floor_and_the_cap_hold_for_all(walk: Walk) -> None:
    for confidence, expected in ((0.49, None), (0.5, 0.5), (1.0, 0.95)):

        def vote(columns: Columns, value: float = confidence) -> tuple[Integers, Floats]:
            return np.ones(len(columns.symbols), np.int64), np.full(len(columns.symbols), value)

        source = CheapSource(key="sure", minimum_bars=1, weight=1.0, vote=vote)
        engine = Engine(rules=Rules(gate=0), sources=[], others=[source])
        signals = run(engine, walk(1, ["A"], 3))
        assert [signal.votes[0].confidence for signal in signals[:1]] == ([expected] if expected else [])


def test_it_goes_on_from_a_snapshot(walk: Walk) -> None:
    batches = walk(8, SYMBOLS, 300, volatility=0.02)
    whole, first, second = (Engine(others=[BREAKOUT]) for _ in range(3))
    expected = run(whole, batches)
    found = run(first, batches[:170])
    second.restore(first.snapshot())
    assert second.snapshot() == first.snapshot()
    assert found + run(second, batches[170:], 171) == expected
    assert second.snapshot() == whole.snapshot()


def test_another_set_of_sources_takes_over_what_it_knows(walk: Walk) -> None:
    batches = walk(8, SYMBOLS, 200)
    with_it, without = Engine(others=[BREAKOUT]), Engine()
    run(with_it, batches)
    without.restore(with_it.snapshot())
    assert without.counts == with_it.counts
    again = Engine(others=[BREAKOUT])
    again.restore(without.snapshot())
    assert again.state.symbols.tobytes() == with_it.state.symbols.tobytes()
    run(again, walk(8, SYMBOLS, 210)[200:], 201)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"key": "trend"}, "key: 'trend'"),
        ({"key": "No Name"}, "key: 'No Name'"),
        ({"weight": 1.5}, "weight: 1.5 of source ok"),
        ({"minimum_bars": 0}, "minimum_bars: 0 of source ok"),
    ],
)
def test_wrong_plug_ins(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CheapSource(**{"key": "ok", "minimum_bars": 1, "weight": 0.1, "vote": breakout, **fields})  # type: ignore[arg-type]
