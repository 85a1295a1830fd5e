"""A symbol that stands still, and one whose bars pause: nothing breaks, nothing is made up."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from heliograph.common.events import BarBatch, Signal
from heliograph.consensus.engine import Engine
from heliograph.consensus.engine.sources import PATTERN, OtherSource

Walk = Callable[..., list[BarBatch]]
HOUR = 3600 * 10**9


def run(engine: Engine, batches: list[BarBatch]) -> list[Signal]:
    return [signal for seq, batch in enumerate(batches, 1) for signal in engine.apply(batch, seq)]


def moved(batch: BarBatch, hours: int) -> BarBatch:
    return msgspec.structs.replace(batch, ts=batch.ts + hours * HOUR)


def halted(batch: BarBatch, hours: int) -> BarBatch:
    """A bar without trade at the last close."""
    names = ("open", "high", "low")
    return msgspec.structs.replace(moved(batch, hours), volume=[0.0], **dict.fromkeys(names, batch.close))


@pytest.mark.parametrize("others", [[], [PATTERN]], ids=["kernel", "pattern"])
def test_a_halted_symbol_gives_no_signal_and_goes_on(walk: Walk, others: list[OtherSource]) -> None:
    batches = walk(4, ["AAPL"], 300, volatility=0.02)
    before, after = batches[:150], batches[150:]
    still = [halted(before[-1], n) for n in range(1, 301)]
    engine = Engine(others=others)
    made = run(engine, [*before, *still, *(moved(batch, 300) for batch in after)])
    begin, end = still[60].ts, still[-1].ts + HOUR
    assert not [signal for signal in made if begin < signal.ts <= end]
    assert [signal for signal in made if signal.ts > end]
    assert engine.counts["bars"] == 600
    symbol = engine.state.symbols[0]
    assert all(np.isfinite(symbol[name]).all() for name in symbol.dtype.names or ())


def test_a_stock_that_never_moved_has_no_side(walk: Walk) -> None:
    (first,) = walk(4, ["AAPL"], 1)
    engine = Engine()
    assert run(engine, [halted(first, n) for n in range(260)]) == []
    assert (
        engine.counts["neutral"]
        + engine.counts["warming"]
        + engine.counts["quorum"]
        + engine.counts["confidence"]
        == 260
    )


def test_bars_after_a_gap_follow_those_before_it(walk: Walk) -> None:
    """Decisions rest on the bars that there are, and signals end by their own time."""
    batches = walk(4, ["AAPL"], 300, volatility=0.02)
    whole, torn = Engine(), Engine()
    days = 24 * 40
    expected = run(whole, batches)
    found = run(torn, [*batches[:200], *(moved(batch, days) for batch in batches[200:])])
    early = [signal.id for signal in expected if signal.ts <= batches[199].ts + HOUR]
    assert [signal.id for signal in found][: len(early)] == early
    late = [signal for signal in found if signal.bar_ts >= batches[200].ts + days * HOUR]
    assert late
    assert torn.counts["bars"] == 300
    # Forty days are longer than any signal lives: none from before is still under way.
    assert not (torn.state.symbols["expires"][0] > 0)[torn.state.symbols["expires"][0] < late[0].ts].any()
    assert torn.state.symbols["closes"][0, :201].tolist() == whole.state.symbols["closes"][0, :201].tolist()
