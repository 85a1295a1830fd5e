"""Compiled plug-ins: the same votes inside the kernel, beside other sources, and as one over columns."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from heliograph.common.errors import InputError, InvariantError
from heliograph.common.events import BarBatch, Signal
from heliograph.consensus.engine import Engine, Rules, Weights
from heliograph.consensus.engine.columns import Columns
from heliograph.consensus.engine.history import average_close, close_at, high_at, low_at, volume_at
from heliograph.consensus.engine.layout import ABSTAIN, Floats, Integers, Symbol
from heliograph.consensus.engine.sources import CheapSource, CompiledSource, OtherSource

Walk = Callable[..., list[BarBatch]]
SYMBOLS = ["AAPL", "BTC/USD", "MSFT"]
BARS = 10


def breakout(symbol: Symbol) -> tuple[int, float]:
    """The side on which the close has left the range of the nine bars before."""
    top, bottom = 0.0, np.inf
    for age in range(1, BARS):
        top = max(top, high_at(symbol, age))
        bottom = min(bottom, low_at(symbol, age))
    if symbol.close > top:
        return 1, 0.9
    return (-1, 0.9) if symbol.close < bottom else (ABSTAIN, 0.0)


def breakout_by_columns(columns: Columns) -> tuple[Integers, Floats]:
    """The same of many symbols."""
    top, bottom = columns.highs(BARS)[:, :-1].max(axis=1), columns.lows(BARS)[:, :-1].min(axis=1)
    direction = np.where(columns.close > top, 1, np.where(columns.close < bottom, -1, ABSTAIN))
    return direction, np.full(len(columns.symbols), 0.9)


COMPILED = CompiledSource(key="breakout", minimum_bars=BARS, weight=0.3, vote=breakout)
BY_COLUMNS = CheapSource(key="breakout", minimum_bars=BARS, weight=0.3, vote=breakout_by_columns)
SILENT = CheapSource(key="silent", minimum_bars=1, weight=0.0, vote=breakout_by_columns)
WEIGHTS = Weights(version="3", plugins=("breakout", "silent"))


def run(engine: Engine, batches: list[BarBatch], first: int = 1) -> list[Signal]:
    return [signal for seq, batch in enumerate(batches, first) for signal in engine.apply(batch, seq)]


@pytest.mark.parametrize(
    "others",
    [[COMPILED], [COMPILED, SILENT], [SILENT, COMPILED]],
    ids=["inside the kernel", "before another", "after another"],
)
def test_each_way_of_asking_gives_the_same_signals(walk: Walk, others: list[OtherSource]) -> None:
    """The law: by columns of a batch, inside the one kernel, and in the kernel's parts, bit by bit."""
    batches = walk(5, SYMBOLS, 400, volatility=0.02)
    expected = run(Engine(WEIGHTS, others=[BY_COLUMNS]), batches)
    found = Engine(WEIGHTS, others=others)
    assert run(found, batches) == expected
    assert {vote.direction for s in expected for vote in s.votes if vote.source == "breakout"} == {-1, 1}
    assert run(Engine(), batches) != expected


def test_many_symbols_or_one_give_the_same_signals(walk: Walk) -> None:
    batches = walk(5, SYMBOLS, 300, volatility=0.02)
    together = run(Engine(WEIGHTS, others=[COMPILED]), batches)
    alone = Engine(WEIGHTS, others=[COMPILED])
    apart = []
    for seq, batch in enumerate(batches, 1):
        for place in range(len(SYMBOLS)):
            columns: dict[str, Any] = {
                name: [getattr(batch, name)[place]]
                for name in ("symbols", "open", "high", "low", "close", "volume")
            }
            one = BarBatch(id=batch.id, ts=batch.ts, interval=batch.interval, source=batch.source, **columns)
            apart += alone.apply(one, seq)
    assert {s.id for s in apart} == {s.id for s in together}
    assert together


def test_it_goes_on_from_a_snapshot(walk: Walk) -> None:
    batches = walk(8, SYMBOLS, 300, volatility=0.02)
    whole, first, second = (Engine(WEIGHTS, others=[COMPILED]) for _ in range(3))
    expected = run(whole, batches)
    found = run(first, batches[:170])
    second.restore(first.snapshot())
    assert found + run(second, batches[170:], 171) == expected
    assert second.snapshot() == whole.snapshot()


def test_what_it_may_look_back_at_are_the_bars(walk: Walk) -> None:
    """Every age that is held, and NaN beyond; against the bars themselves."""
    batches = walk(11, ["A"], 210)
    bars = {name: [getattr(b, name)[0] for b in batches] for name in ("close", "high", "low", "volume")}
    engine = Engine()
    held = ((close_at, "close", 201), (high_at, "high", 40), (low_at, "low", 40), (volume_at, "volume", 21))
    for seq, batch in enumerate(batches, 1):
        engine.apply(batch, seq)
        symbol = engine.state.symbols.view(np.recarray)[0]
        for at, name, size in held:
            ages = range(min(seq, size))
            assert [at(symbol, age) for age in ages] == bars[name][max(0, seq - size) : seq][::-1]
            assert all(np.isnan(at(symbol, age)) for age in (-1, min(seq, size)))
    assert average_close(symbol, 30) == pytest.approx(np.mean(bars["close"][-30:]))
    assert np.isnan([average_close(symbol, 0), average_close(symbol, 202)]).all()


def test_the_floor_and_the_cap_hold(walk: Walk) -> None:
    for confidence, expected in ((0.49, None), (0.5, 0.5), (1.0, 0.95)):

        def vote(_symbol: Symbol, value: float = confidence) -> tuple[int, float]:
            return 1, value

        source = CompiledSource(key="sure", minimum_bars=1, weight=1.0, vote=vote)
        engine = Engine(rules=Rules(gate=0), sources=[], others=[source])
        signals = run(engine, walk(1, ["A"], 3))
        assert [signal.votes[0].confidence for signal in signals[:1]] == ([expected] if expected else [])


@pytest.mark.parametrize("others", [[], [SILENT]], ids=["inside the kernel", "beside another"])
@pytest.mark.parametrize(
    ("direction", "confidence", "message"),
    [(5, 0.5, "5 with 0.5 for B"), (1, 1.5, "1 with 1.5 for B"), (1, np.nan, "1 with nan for B")],
)
def test_impossible_votes_stop_it(
    walk: Walk, direction: int, confidence: float, message: str, others: list[OtherSource]
) -> None:
    """Of the second symbol alone: its price is the one over 1,000."""

    def vote(symbol: Symbol) -> tuple[int, float]:
        return (direction, confidence) if symbol.close > 1_000.0 else (1, 0.5)

    source = CompiledSource(key="broken", minimum_bars=1, weight=0.1, vote=vote)
    price = [10.0, 2_000.0, 30.0]
    batch = BarBatch(
        id="1", ts=0, interval="1d", symbols=["A", "B", "C"], source="", volume=[1.0] * 3,
        open=price, high=price, low=price, close=price,
    )  # fmt: skip
    with pytest.raises(InvariantError, match=f"source broken: {message}, expected"):
        Engine(others=[source, *others]).apply(batch, 1)


def writes(symbol: Symbol) -> tuple[int, float]:
    """Moves a state that is not its own."""
    symbol.close = 1.0
    return 1, 0.5


def no_field(symbol: Symbol) -> tuple[int, float]:
    """Asks for what no symbol has."""
    return 1, symbol.sentiment  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"key": "trend"}, "key: 'trend'"),
        ({"weight": 1.5}, "weight: 1.5 of source ok"),
        ({"minimum_bars": 0}, "minimum_bars: 0 of source ok"),
        ({"vote": writes}, r"vote: \S+\.writes writes \(STORE_ATTR\), expected one that only reads"),
        ({"vote": no_field}, r"vote: \S+\.no_field cannot be compiled .*sentiment"),
    ],
)
def test_wrong_plug_ins(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CompiledSource(**{"key": "ok", "minimum_bars": 1, "weight": 0.1, "vote": breakout, **fields})  # type: ignore[arg-type]
