"""Two strategies beside each other: who decides hangs on symbol and day alone."""

import math
from collections.abc import Callable

import pytest

from heliograph.common.errors import InputError
from heliograph.common.events import BarBatch, Signal
from heliograph.common.shards import fnv1a_32
from heliograph.consensus.engine import Engine, Weights
from heliograph.consensus.engine.arms import BUCKETS, DAY, bucket_of

Walk = Callable[..., list[BarBatch]]
SYMBOLS = ["AAPL", "MSFT", "NVDA", "AMD", "BTC/USD"]
FIRST = Weights(name="default", version="2")
SECOND = Weights(name="trendy", version="1", views={"UNKNOWN": {"trend": 1.0}, "TRENDING": {"trend": 1.0}})


def run(engine: Engine, batches: list[BarBatch]) -> list[Signal]:
    return [signal for seq, batch in enumerate(batches, 1) for signal in engine.apply(batch, seq)]


def bare(signals: list[Signal]) -> list[tuple[object, ...]]:
    return [(s.id, s.entry, s.stop, s.target, s.raw_confidence) for s in signals]


def test_without_a_share_nothing_changes(walk: Walk) -> None:
    batches = walk(1, SYMBOLS, 300, volatility=0.02)
    plain, ready = Engine(FIRST), Engine(FIRST, challenger=SECOND)
    assert run(ready, batches) == run(plain, batches)
    assert ready.snapshot() == plain.snapshot()


def test_the_whole_share_is_the_other_strategy(walk: Walk) -> None:
    batches = walk(1, SYMBOLS, 300, volatility=0.02)
    given = run(Engine(FIRST, challenger=SECOND, rollout=1.0), batches)
    assert bare(given) == bare(run(Engine(SECOND), batches))
    assert {signal.strategy for signal in given} == {"trendy@1"}


def test_a_symbol_has_one_strategy_a_day_whatever_runs_it(walk: Walk) -> None:
    batches = walk(2, SYMBOLS, 600, interval="1h", volatility=0.01)
    engine = Engine(FIRST, challenger=SECOND, rollout=0.4)
    signals = run(engine, batches)
    assert {signal.strategy for signal in signals} == {"default@2", "trendy@1"}
    for signal in signals:
        challenged = bucket_of(fnv1a_32(signal.symbol.encode()), signal.bar_ts) < 0.4 * BUCKETS
        assert signal.strategy == ("trendy@1" if challenged else "default@2")
    again = Engine(FIRST, challenger=SECOND, rollout=0.4)
    assert run(again, batches) == signals
    assert engine.open_signals == again.open_signals


def test_each_strategy_has_its_own_open_signals(walk: Walk) -> None:
    """A signal of one strategy does not keep the other from giving one on the same side."""
    batches = walk(2, SYMBOLS, 600, interval="1h", volatility=0.004)
    signals = run(Engine(FIRST, challenger=SECOND, rollout=0.5), batches)
    both: dict[tuple[str, str], set[str]] = {}
    for signal in signals:
        both.setdefault((signal.symbol, signal.action), set()).add(signal.strategy)
    assert any(len(strategies) == 2 for strategies in both.values())


def test_a_larger_share_keeps_what_a_smaller_one_had() -> None:
    keys = [fnv1a_32(f"S{n}".encode()) for n in range(300)]
    days = [day * DAY for day in range(19_000, 19_050)]
    buckets = [bucket_of(key, ts) for key in keys for ts in days]
    for share in (0.1, 0.25, 0.5):
        found = sum(bucket < share * BUCKETS for bucket in buckets) / len(buckets)
        assert found == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / len(buckets)))
    assert bucket_of(keys[0], days[0]) == bucket_of(keys[0], days[0] + DAY - 1)
    moved = sum(bucket_of(key, days[0]) // 5000 != bucket_of(key, days[1]) // 5000 for key in keys)
    assert 100 < moved < 200


@pytest.mark.parametrize(
    ("challenger", "rollout", "message"),
    [
        (SECOND, 1.1, "rollout: 1.1"),
        (SECOND, math.nan, "rollout: nan"),
        (None, 0.1, "rollout: 0.1 without a challenger"),
        (FIRST, 0.1, "challenger: 'default@2' like the strategy itself"),
    ],
)
def test_wrong_shares(challenger: Weights | None, rollout: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Engine(FIRST, challenger=challenger, rollout=rollout)
