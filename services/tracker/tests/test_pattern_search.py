"""The pattern search without I/O: scaling, neighbours, point in time, expectation."""

import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.common.patterns import FEATURES, PatternCase
from heliograph.tracker.pattern.expectation import STOP, TARGET, TIME, Expectation, expectation
from heliograph.tracker.pattern.index import NeighbourIndex
from heliograph.tracker.pattern.memory import EndedCase, PatternMemory
from heliograph.tracker.pattern.scaler import fit

SIZE = len(FEATURES)
DAY = 86_400 * 10**9


def unit(count: int, seed: int = 1) -> Any:
    made = np.random.default_rng(seed).normal(size=(count, SIZE))
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def test_each_feature_is_standardised_before_the_length_is_taken() -> None:
    random = np.random.default_rng(3)
    features = random.normal(size=(500, SIZE)) * np.logspace(-3, 5, SIZE) + 7
    scaler = fit(features, until=5)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    wanted = standard / np.linalg.norm(standard, axis=1, keepdims=True)
    assert np.allclose(scaler.vectors(features), wanted, atol=1e-6)
    assert np.allclose(np.linalg.norm(scaler.vectors(features), axis=1), 1, atol=1e-6)
    assert (scaler.cases, scaler.until) == (500, 5)
    assert fit(features, until=5).version == scaler.version
    assert fit(features[:-1], until=5).version != scaler.version


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=SIZE, max_size=SIZE), min_size=1, max_size=12))
def test_a_constant_feature_divides_by_nothing(rows: list[list[float]]) -> None:
    features = np.array(rows)
    features[:, 3] = 0.1
    vectors = fit(features, until=0).vectors(features)
    assert np.isfinite(vectors).all()
    assert (vectors[:, 3] == 0).all()
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("exact", "recall"), [(10_000, 1.0), (500, 0.95)])
def test_the_nearest_are_those_of_brute_force(compressed: bool, exact: int, recall: float) -> None:  # noqa: FBT001 - pytest's way
    vectors, queries = unit(3000), unit(40, seed=2)
    index = NeighbourIndex(compressed=compressed, exact=exact)
    for start in range(0, 3000, 250):
        index.add(vectors[start : start + 250])
    shares = []
    for query in queries:
        rows, similar = index.nearest(query, 50)
        truth = np.argsort(-(vectors @ query), kind="stable")[:50]
        shares.append(np.isin(rows, truth).mean())
        assert (np.diff(similar) <= 1e-6).all()
        assert np.allclose(similar, vectors[rows] @ query, atol=0.03 if compressed else 1e-5)
    assert np.mean(shares) >= (recall if not compressed else 0.9)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("exact", [100, 1000])
def test_only_allowed_rows_are_found(compressed: bool, exact: int) -> None:  # noqa: FBT001 - pytest's way
    vectors = unit(600)
    index = NeighbourIndex(compressed=compressed, exact=exact)
    index.add(vectors)
    for allowed in (np.arange(7), np.arange(0, 600, 2), np.arange(300, 600)):
        rows, _ = index.nearest(vectors[1], 50, allowed)
        assert set(rows.tolist()) <= set(allowed.tolist())
        assert len(rows) == len(set(rows.tolist())) == min(50, allowed.size)
    assert index.nearest(vectors[1], 50, np.zeros(0, np.int64))[0].size == 0


def test_missing_neighbours_are_no_rows() -> None:
    index = NeighbourIndex()
    assert index.nearest(unit(1)[0], 50)[0].size == 0
    index.add(unit(3))
    rows, _ = index.nearest(unit(1)[0], 50)
    assert sorted(rows.tolist()) == [0, 1, 2]
    assert index.nearest(np.zeros(SIZE, np.float32), 50)[0].size == 0


def test_an_expectation_by_hand() -> None:
    found = expectation(
        np.array([2.0, -1.0, 0.5, -1.0]), np.array([3, 1, 10, 2]), np.array([TARGET, STOP, TIME, STOP])
    )
    assert found == Expectation(
        n=4,
        p_win=0.5,
        avg_r=0.125,
        avg_win_r=1.25,
        avg_loss_r=-1.0,
        median_bars=2.5,
        profit_factor=1.25,
        targets=1,
        stops=2,
        times=1,
        expected_r=0.125,
    )
    sure = expectation(np.array([1.0]), np.array([1]), np.array([TARGET]))
    assert (sure.profit_factor, sure.avg_loss_r, sure.expected_r) == (None, 0.0, 1.0)
    assert expectation(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64)) == Expectation()


def case(
    number: int, symbol: str = "A", regime: int = 1, ended: int | None = None, r: float = 1.0
) -> EndedCase:
    return EndedCase(
        signal=f"s{number}",
        symbol=symbol,
        regime=regime,
        ended=number * DAY if ended is None else ended,
        r=r,
        bars=number,
        end=TARGET if r > 0 else STOP,
    )


def alike(count: int) -> Any:
    """Features of cases that are much alike, after two of another kind that the scaler needs."""
    random = np.random.default_rng(5)
    features = random.normal(0, 0.01, (count, SIZE)) + np.linspace(1, 2, SIZE)
    features[:2] = -np.linspace(1, 2, SIZE)
    features[:, -1] = 1
    return features


def memory(cases: list[EndedCase], features: Any) -> PatternMemory:
    scaler = fit(alike(60), until=0)
    made = PatternMemory(scaler)
    made.add(cases, scaler.vectors(features))
    return made


def test_no_case_that_had_not_ended_is_found() -> None:
    features = alike(40)
    made = memory([case(n) for n in range(40)], features)
    found = made.find("A", 20 * DAY, features[30].tolist())
    assert found.expectation.n == 18  # 2 to 19: the two others are unlike, and 20 ends at the query's time
    assert set(found.signals) == {f"s{n}" for n in range(2, 20)}
    assert found.scaler == made.scaler.version
    assert made.find("A", 0, features[30].tolist()).expectation.n == 0
    assert made.find("A", 0, features[30].tolist()).scaler == ""


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.sampled_from("AB"), st.integers(0, 2)), min_size=1, max_size=60
    ),
    st.integers(1, 31),
)
def test_whatever_comes_only_what_had_ended_counts(cases: list[tuple[int, str, int]], ts: int) -> None:
    features = alike(62)[2 : len(cases) + 2]
    given_ = [case(n, symbol, regime, ended) for n, (ended, symbol, regime) in enumerate(cases)]
    found = memory(given_, features).find("A", ts, features[0].tolist())
    numbers = [int(signal[1:]) for signal in found.signals]
    assert all(cases[n][0] < ts for n in numbers)
    assert len(numbers) == len(set(numbers)) == found.expectation.n <= 50
    if found.scope == "symbol":
        assert all(cases[n][1] == "A" for n in numbers)
    if found.same_regime:
        assert all(cases[n][2] == 1 for n in numbers)


def test_the_symbols_own_cases_come_first_if_there_are_enough() -> None:
    features = alike(40)
    own = memory([case(n, "A" if n % 2 else "B") for n in range(40)], features)
    found = own.find("A", 99 * DAY, features[5].tolist())
    assert (found.scope, found.expectation.n) == ("symbol", 19)
    few = memory([case(n, "A" if n > 31 else "B") for n in range(40)], features)
    found = few.find("A", 99 * DAY, features[5].tolist())
    assert (found.scope, found.expectation.n) == ("all", 38)


def test_those_of_the_same_volatility_alone_if_there_are_enough() -> None:
    features = alike(42)
    many = memory(
        [case(n, regime=1 if n < 22 else 2, r=1.0 if n < 22 else -1.0) for n in range(42)], features
    )
    found = many.find("A", 99 * DAY, features[5].tolist())
    assert (found.same_regime, found.expectation.n, found.expectation.p_win) == (True, 20, 1.0)
    few = memory([case(n, regime=1 if n < 11 else 2, r=1.0 if n < 11 else -1.0) for n in range(42)], features)
    found = few.find("A", 99 * DAY, features[5].tolist())
    assert (found.same_regime, found.expectation.n) == (False, 40)


def test_what_is_not_alike_is_not_found() -> None:
    features = alike(40)
    made = memory([case(n) for n in range(40)], features)
    assert made.find("A", 99 * DAY, features[0].tolist()).signals == ["s0", "s1"]


def test_a_case_counts_once() -> None:
    features = alike(40)
    made = memory([case(n) for n in range(40)], features)
    made.add([case(39), case(40), case(40)], made.scaler.vectors(features[[39, 5, 5]]))
    assert len(made) == 41
    assert "s40" in made
    assert made.find("A", 99 * DAY, features[5].tolist()).expectation.n == 39


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([0.0] * 15, "length >= 16"),
        ([0.0] * 17, "length <= 16"),
        ([0.0] * 15 + [3.0], "volatility_regime: 3.0, expected 0, 1 or 2"),
    ],
)
def test_impossible_features_are_refused(features: list[float], message: str) -> None:
    body = msgspec.json.encode({"signal": "a", "symbol": "A", "ts": 1, "features": features})
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.json.decode(body, type=PatternCase)
    with pytest.raises(ValueError, match="rsi: nan, expected a finite number"):
        PatternCase(signal="a", symbol="A", ts=1, features=[0.0, float("nan")] + [0.0] * 14)


def test_a_tracker_without_cases_holds_neither_the_index_nor_the_regression() -> None:
    code = (
        "import sys, heliograph.tracker.__main__\n"
        "found = {'faiss', 'scipy.optimize', 'sklearn'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
