"""A split in the data: nothing that is known of the symbol, and no signal under way, takes it for a fall."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from heliograph.common.events import BarBatch, Signal
from heliograph.consensus.engine import Engine, Rules
from heliograph.consensus.engine.sources import PATTERN, OtherSource

Walk = Callable[..., list[BarBatch]]
PRICES = ("open", "high", "low", "close")
RATIO = 2.0
"""A power of two, so that not a bit is lost."""
RULES = Rules(tick=1e-6, tick_under_one=1e-6)
AT = 150


def in_new_shares(batch: BarBatch, ratio: float = RATIO) -> BarBatch:
    columns = {name: [value / ratio for value in getattr(batch, name)] for name in PRICES}
    return msgspec.structs.replace(batch, **columns, volume=[value * ratio for value in batch.volume])


def told(batch: BarBatch, splits: dict[str, float]) -> BarBatch:
    return msgspec.structs.replace(batch, v=2, splits=splits)


def run(engine: Engine, batches: list[BarBatch]) -> list[Signal]:
    return [signal for seq, batch in enumerate(batches, 1) for signal in engine.apply(batch, seq)]


def essence(signal: Signal) -> tuple[object, ...]:
    return signal.id, signal.action, signal.raw_confidence, signal.votes


def prices_of(signals: list[Signal], until: int) -> np.ndarray:
    """Entry, stop and target in new shares, of signals that were given in old ones up to some time."""
    return np.array([[s.entry, s.stop, s.target] for s in signals]) / [
        [RATIO if s.ts <= until else 1.0] for s in signals
    ]


@pytest.mark.parametrize("others", [[], [PATTERN]], ids=["kernel", "pattern"])
def test_signals_go_on_as_if_the_shares_had_always_been_new(walk: Walk, others: list[OtherSource]) -> None:
    old = walk(4, ["AAPL"], 400, volatility=0.02)
    new = [in_new_shares(batch) for batch in old]
    split = [*old[:AT], told(new[AT], {"AAPL": RATIO}), *new[AT + 1 :]]
    plain, adjusted = (Engine(rules=RULES, others=others) for _ in range(2))
    expected, found = run(plain, new), run(adjusted, split)
    ends = old[AT].ts
    assert len([s for s in expected if s.ts > ends]) > 10
    assert [essence(s) for s in found] == [essence(s) for s in expected]
    assert np.allclose(prices_of(found, ends), prices_of(expected, 0), rtol=0, atol=2e-6)
    assert adjusted.counts == plain.counts
    for name in (
        "closes",
        "volumes",
        "reaches",
        "highest",
        "lowest",
        "emas_20",
        "atr_14",
        "close_sum_200",
        "macd_signal",
        "outcomes",
    ):
        assert np.allclose(
            adjusted.state.symbols[name][:1], plain.state.symbols[name][:1], rtol=1e-12, atol=1e-12
        )


def test_untold_it_is_a_fall(walk: Walk) -> None:
    """Which is why it must be told: the same bars without the word give other signals."""
    old = walk(4, ["AAPL"], 400, volatility=0.02)
    new = [in_new_shares(batch) for batch in old]
    silent = run(Engine(rules=RULES), [*old[:AT], *new[AT:]])
    assert [s.id for s in silent] != [s.id for s in run(Engine(rules=RULES), new)]


def test_only_what_is_held_from_before_is_adjusted(walk: Walk) -> None:
    first, second, third = walk(4, ["AAPL"], 3)
    engine = Engine()
    engine.apply(first, 1)
    engine.apply(told(second, {"MSFT": 2.0, "AAPL": 2.0}), 2)
    assert engine.state.names == ["AAPL"]
    assert engine.state.symbols["closes"][0, :2].tolist() == [first.close[0] / 2, second.close[0]]
    # A batch that comes late, or one of another interval, tells of nothing that is not known.
    engine.apply(told(second, {"AAPL": 2.0}), 3)
    engine.apply(told(msgspec.structs.replace(third, interval="1d"), {"AAPL": 2.0}), 4)
    assert engine.state.symbols["closes"][0, :2].tolist() == [first.close[0] / 2, second.close[0]]


def test_a_reverse_split_is_told_by_a_ratio_under_one(walk: Walk) -> None:
    first, second = walk(4, ["AAPL"], 2)
    engine = Engine()
    engine.apply(first, 1)
    engine.apply(told(second, {"AAPL": 0.1}), 2)
    assert engine.state.symbols["closes"][0, 0] == pytest.approx(10 * first.close[0])
    assert engine.state.symbols["volumes"][0, 0] == pytest.approx(first.volume[0] / 10)
