"""The vote of `pattern` rests on the cases that the tracker's search finds, and knows no future."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from heliograph.common.patterns import VOLATILITY
from heliograph.consensus.engine.layout import ABSTAIN, CASES, MEMORY, SOURCES
from heliograph.consensus.engine.recall import ENOUGH, SIZE, neighbours, recall
from heliograph.consensus.engine.rules import Rules
from heliograph.lab.backtest import Job, run
from heliograph.lab.bars import bars_of
from heliograph.lab.folder import Folder
from heliograph.lab.lookahead import check, live_decisions
from heliograph.lab.strategy import Strategy, live_strategy
from heliograph.tracker.pattern.memory import EndedCase, PatternMemory
from heliograph.tracker.pattern.scaler import fit

from .conftest import MakeFolder

NOW = 1_000


def memory(seed: int, spread: float) -> Any:
    """Cases around a few looks, as in a market that comes back to them; some end too late to count."""
    random = np.random.default_rng(seed)
    held = int(random.integers(1, 2 * CASES))
    looks = random.normal(0.0, 1.0, (3, SIZE))
    cases = np.zeros(1, MEMORY).view(np.recarray)[0]
    cases.held = held
    cases.past[:] = looks[random.integers(0, 3, CASES)] + random.normal(0.0, spread, (CASES, SIZE))
    cases.past[:, 3] = 1.0  # A constant feature tells nothing.
    cases.past[:, VOLATILITY] = random.integers(0, 3, CASES)
    cases.now[:] = looks[0] + random.normal(0.0, spread, SIZE)
    cases.now[VOLATILITY] = random.integers(0, 3)
    cases.ended[:] = random.integers(NOW - 90, NOW + 2, CASES)
    cases.move[:] = random.choice([-1.0, 5 / 3], CASES)
    return cases


@pytest.mark.parametrize("seed", range(24))
def test_the_cases_are_those_of_the_trackers_search(seed: int) -> None:
    cases = memory(seed, spread=(0.05, 0.4, 1.0)[seed % 3])
    known = [n for n in range(min(cases.held, CASES)) if cases.ended[n] < NOW]
    vectors, query = np.empty((CASES, SIZE)), np.empty(SIZE)
    places = np.empty(CASES, np.int64)
    count = neighbours(cases, NOW, vectors, query, places)
    if len(known) < ENOUGH:
        assert count == 0
        return
    scaler = fit(cases.past[known], NOW - 1)
    search = PatternMemory(scaler)
    search.add(
        [
            EndedCase(str(n), "A", int(cases.past[n, VOLATILITY]), int(cases.ended[n]), cases.move[n], 1, 0)
            for n in known
        ],
        scaler.vectors(cases.past[known]),
    )
    found = search.find("A", NOW, cases.now.tolist())
    assert sorted(places[:count].tolist()) == sorted(int(signal) for signal in found.signals)
    rules = Rules().record().view(np.recarray)[0]
    direction, confidence = recall(cases, NOW, vectors, query, places, rules)
    moves = cases.move[[int(signal) for signal in found.signals]]
    if count < ENOUGH:
        assert (direction, confidence) == (ABSTAIN, 0.0)
        return
    side = 1 if moves.mean() > 0 else -1
    share = (side * moves > 0).mean()
    assert direction == (side if share >= 1 / 2 else ABSTAIN)
    if direction == side:
        assert confidence == pytest.approx(min(share, 0.95))
        if side > 0:
            assert found.expectation.p_win == pytest.approx(share)


@pytest.fixture
def strategy() -> Strategy:
    return msgspec.structs.replace(live_strategy(), sources=(*SOURCES, "pattern"))


def test_a_backtest_with_it_depends_on_no_chunk_or_shard(walks: MakeFolder, strategy: Strategy) -> None:
    folder = walks({f"S{n}": 260 + n for n in range(6)})
    expected = run(Job(folder=folder, strategy=strategy))
    assert len(expected.ids) > 20
    for other in (
        run(Job(folder=folder, strategy=strategy), chunk=1),
        run(Job(folder=folder, strategy=strategy, shards=3), chunk=4),
    ):
        assert other.ids == expected.ids
        assert other.trades.tobytes() == expected.trades.tobytes()


def test_it_knows_no_future(sample: Path, strategy: Strategy) -> None:
    bars = bars_of(Folder(sample).replay(["AAPL", "NVDA"], 1, 1 << 62))
    finding = check(live_decisions(strategy), bars, strategy.sources, 2)
    assert finding.compared > 100
    assert finding.differences == []
