"""The weighing: by hand, and its laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.consensus.engine.consensus import weigh
from heliograph.consensus.engine.layout import (
    ABSTAIN,
    COUNTS,
    SOURCES,
    TABLE,
    VIEWS,
    Symbol,
    Table,
)
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.state import blank
from heliograph.consensus.engine.weights import Weights

RULES = Rules()
TRENDING = VIEWS.index("TRENDING")
Cast = tuple[int, float]
SILENT: Cast = (ABSTAIN, 0.0)


def symbol_with(trend: Cast, technical: Cast, bars: int = 200, swing: Cast = SILENT) -> Symbol:
    symbol: Symbol = blank(1).view(np.recarray)[0]
    symbol.bars = bars
    symbol.direction[:] = trend[0], technical[0], swing[0]
    symbol.confidence[:] = trend[1], technical[1], swing[1]
    return symbol


def table_of(trend: float, technical: float, swing: float = 0.0) -> Table:
    table = np.zeros(1, TABLE)
    table["weights"] = np.array([trend, technical, swing]) / (trend + technical + swing)
    found: Table = table.view(np.recarray)[0]
    return found


def weighed(
    trend: Cast,
    technical: Cast,
    *,
    multiplier: float = 1.0,
    bars: int = 200,
    rules: Rules = RULES,
    weights: tuple[float, float] = (0.55, 0.25),
) -> tuple[str, int, float, float, float]:
    symbol = symbol_with(trend, technical, bars)
    verdict, side, raw, agreement, voted = weigh(symbol, TRENDING, multiplier, rules, table_of(*weights))
    return COUNTS[verdict], side, raw, agreement, voted


@pytest.mark.parametrize(
    ("trend", "technical", "multiplier", "verdict", "side", "raw", "agreement"),
    [
        ((1, 0.80), (1, 0.75), 1.0, "signals", 1, 100 * (0.55 * 0.80 + 0.25 * 0.75) / 0.80, 1.0),
        ((-1, 0.80), (-1, 0.75), 1.0, "signals", -1, 100 * (0.55 * 0.80 + 0.25 * 0.75) / 0.80, 1.0),
        ((1, 0.95), (1, 0.95), 1.05, "signals", 1, 98.0, 1.0),
        ((1, 0.95), (-1, 0.60), 1.0, "confidence", 1, 100 * (0.55 * 0.95 - 0.25 * 0.60) / 0.80, 0.6875),
        ((1, 0.75), (1, 0.75), 1.0, "signals", 1, 75.0, 1.0),
        ((1, 0.75), (1, 0.75), 0.9, "confidence", 1, 67.5, 1.0),
        ((1, 0.90), (0, 0.65), 1.0, "confidence", 1, 100 * 0.55 * 0.90 / 0.80, 0.6875),
        ((0, 0.90), (0, 0.65), 1.0, "neutral", 0, 0.0, 0.0),
    ],
)
def test_by_hand(
    trend: Cast, technical: Cast, multiplier: float, verdict: str, side: int, raw: float, agreement: float
) -> None:
    found = weighed(trend, technical, multiplier=multiplier)
    assert found[:2] == (verdict, side)
    assert found[2:] == pytest.approx((raw, agreement, 1.0))


def test_votes_that_cancel_out_are_neutral() -> None:
    assert weighed((1, 0.8), (-1, 0.8), weights=(0.5, 0.5))[0] == "neutral"


def test_a_neutral_vote_dilutes_and_an_abstention_does_not() -> None:
    alone = weighed((1, 0.90), SILENT)
    diluted = weighed((1, 0.90), (0, 0.65))
    assert alone[:2] == ("signals", 1)
    assert alone[2] == pytest.approx(90.0)
    assert diluted[:2] == ("confidence", 1)
    assert diluted[2] == pytest.approx(90.0 * 0.6875)


def test_half_of_the_eligible_weight_must_have_voted() -> None:
    assert weighed(SILENT, (1, 0.95))[0] == "quorum"
    assert weighed((1, 0.95), SILENT)[0] == "signals"
    assert weighed(SILENT, (1, 0.95), weights=(0.5, 0.5))[0] == "signals"
    assert weighed(SILENT, SILENT)[0] == "quorum"
    assert weighed(SILENT, SILENT, rules=Rules(quorum=0))[0] == "quorum"


@pytest.mark.parametrize(
    ("bars", "verdict"), [(34, "warming"), (35, "signals"), (49, "signals"), (50, "quorum")]
)
def test_a_source_is_eligible_with_its_bars(bars: int, verdict: str) -> None:
    assert weighed(SILENT, (1, 0.95), bars=bars)[0] == verdict


def test_the_gate_and_the_cap_are_configuration() -> None:
    assert weighed((1, 0.74), (1, 0.74))[0] == "confidence"
    assert weighed((1, 0.74), (1, 0.74), rules=Rules(gate=74))[0] == "signals"
    assert weighed((1, 0.95), (1, 0.95), rules=Rules(raw_cap=90))[2] == 90.0


@pytest.mark.parametrize("points", range(50, 96))
@pytest.mark.parametrize("weights", [(0.55, 0.25), (0.40, 0.30), (0.45, 0.30), (0.1, 0.7)])
def test_equal_votes_give_their_own_confidence_whatever_the_weights(
    points: int, weights: tuple[float, float]
) -> None:
    verdict, _, raw, _, _ = weighed((1, points / 100), (1, points / 100), weights=weights)
    assert raw == pytest.approx(points)
    assert (verdict == "signals") == (points >= 75)


votes = st.tuples(st.sampled_from([-1, 0, 1, ABSTAIN]), st.floats(0.5, 0.95))


@given(votes, votes, st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.8, 1.05))
def test_bounds_and_symmetry(
    trend: Cast, technical: Cast, first: float, second: float, multiplier: float
) -> None:
    verdict, side, raw, agreement, voted = weighed(
        trend, technical, multiplier=multiplier, weights=(first, second)
    )
    assert 0 <= raw <= 98
    assert 0 <= agreement <= 1 + 1e-12
    assert 0 <= voted <= 1 + 1e-12
    assert (verdict == "signals") <= (side != 0 and raw >= 75 - 1e-9)
    mirrored = [(-d if d != ABSTAIN else d, c) for d, c in (trend, technical)]
    other = weighed(mirrored[0], mirrored[1], multiplier=multiplier, weights=(first, second))
    assert other == (verdict, -side, raw, agreement, voted)


@given(
    st.integers(0, 1), st.floats(0.5, 0.95), st.floats(0, 0.45), votes, st.floats(0.05, 1), st.floats(0.05, 1)
)
def test_monotone_in_the_confidence_of_each_vote(
    which: int, confidence: float, more: float, other: Cast, first: float, second: float
) -> None:
    """More confidence in LONG moves the balance towards LONG: the signed figure never falls."""

    def signed(value: float) -> float:
        mine: Cast = (1, value)
        pair = (mine, other) if which == 0 else (other, mine)
        _, side, raw, _, _ = weighed(*pair, weights=(first, second), rules=Rules(quorum=0, raw_cap=100))
        return side * raw

    assert signed(min(1.0, confidence + more)) >= signed(confidence) - 1e-6


def test_the_default_table_is_normalised_over_the_configured_sources() -> None:
    table = Weights().table(SOURCES)
    assert table.shape == (len(VIEWS), len(SOURCES))
    np.testing.assert_allclose(table.sum(axis=1), 1.0)
    np.testing.assert_allclose(table[TRENDING], [0.55, 0.25, 0.20])
    np.testing.assert_allclose(Weights().table(["technical"]), [[0, 1, 0]] * len(VIEWS))
