"""What a candidate is trained on, what judges it, and when it is taken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.common.calibration import Calibration, Curve
from heliograph.tracker.calibration.training import Outcomes, Trial, train, trial

DAY = 86_400 * 10**9


def outcomes(count: int, seed: int = 1, symbols: int = 1) -> Outcomes:
    """Ended signals, one a day, whose raw confidence says twice the true probability."""
    random = np.random.default_rng(seed)
    raw = random.uniform(70, 98, count).round(2)
    return Outcomes(
        symbols=np.array([f"S{n % symbols}" for n in range(count)]),
        raw=raw,
        won=(random.uniform(0, 100, count) < raw / 2).astype(np.float64),
        ended=np.arange(count) * DAY,
    )


def judged(found: Trial | None) -> Trial:
    assert found is not None
    return found


def test_the_newest_fifth_judges_and_does_not_train() -> None:
    given_ = outcomes(1000)
    flipped = given_._replace(won=np.where(np.arange(1000) >= 800, 1 - given_.won, given_.won))
    first, second = judged(trial(given_, "s", None)), judged(trial(flipped, "s", None))
    assert first.model == second.model
    assert first.candidate != second.candidate
    assert first.candidate.count == 200
    assert (first.model.since, first.model.until, first.model.outcomes) == (0, 999 * DAY, 1000)


def test_it_learns_the_probability() -> None:
    found = judged(trial(outcomes(5000), "s", None))
    assert found.taken
    assert found.current == found.raw
    assert found.candidate.brier < 0.9 * found.raw.brier
    assert found.candidate.ece < 0.2 * found.raw.ece
    raw = np.linspace(72, 96, 25)
    assert np.abs(found.model.pool.at(raw) - raw / 2).max() < 7


def test_a_candidate_that_is_worse_than_the_current_one_is_not_taken() -> None:
    given_ = outcomes(400)
    perfect = Calibration(
        version="0", strategy="s", since=0, until=0, outcomes=0, pool=Curve(raw=[0, 100], win=[0, 50])
    )
    spoilt = given_._replace(won=np.where(np.arange(400) < 320, 1.0, given_.won))
    assert not judged(trial(spoilt, "s", perfect)).taken
    awful = Calibration(
        version="0", strategy="s", since=0, until=0, outcomes=0, pool=Curve(raw=[0], win=[99])
    )
    assert judged(trial(given_, "s", awful)).taken
    same = judged(trial(given_, "s", None)).model
    assert judged(trial(given_, "s", same)).taken


@pytest.mark.parametrize(("count", "enough"), [(99, False), (100, True)])
def test_it_needs_a_hundred_outcomes(count: int, enough: bool) -> None:  # noqa: FBT001 - pytest's way
    assert (trial(outcomes(count), "s", None) is not None) is enough


def test_outcomes_of_one_moment_do_not_both_train_and_judge() -> None:
    given_ = outcomes(200)
    # The 160th would be the first judge. Those that ended with it judge too.
    number = np.arange(200)
    ended = DAY * ((number >= 50).astype(np.int64) + (number >= 170))
    assert judged(trial(given_._replace(ended=ended), "s", None)).candidate.count == 150
    assert trial(given_._replace(ended=DAY * (number >= 170)), "s", None) is None
    assert trial(given_._replace(ended=np.zeros(200, np.int64)), "s", None) is None


def test_a_symbol_with_a_hundred_outcomes_has_a_curve_between_its_own_and_the_pool() -> None:
    count = 450
    symbols = np.where(np.arange(count) % 3 == 0, "GOOD", "BAD")
    raw = np.full(count, 80.0)
    won = (symbols == "GOOD").astype(np.float64)
    model = train(Outcomes(symbols, raw, won, np.arange(count) * DAY), "s", until=count * DAY, seen=count)
    # 150 of 450 won: a third. GOOD won all of 150, BAD none of 300; each against the weight of 100.
    assert model.pool.at([80.0])[0] == pytest.approx(100 / 3, abs=1e-3)
    assert model.curve("GOOD").at([80.0])[0] == pytest.approx(0.6 * 100 + 0.4 * 100 / 3, abs=1e-3)
    assert model.curve("BAD").at([80.0])[0] == pytest.approx(0.25 * 100 / 3, abs=1e-3)
    few = train(outcomes(200, symbols=3), "s", until=0, seen=200)
    assert few.symbols == {}


def test_a_version_names_its_data() -> None:
    given_ = outcomes(300)
    first = judged(trial(given_, "s", None)).model
    assert judged(trial(given_, "s", None)).model.version == first.version
    assert judged(trial(given_, "other", None)).model.version != first.version
    assert judged(trial(given_.part(0, 299), "s", None)).model.version != first.version


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 75.0, 75.01, 98.0, 100.0]), st.booleans()), min_size=100, max_size=140
    )
)
def test_any_outcomes_give_a_probability_that_is_never_sure(sample: list[tuple[float, bool]]) -> None:
    raw, won = (np.array(column, np.float64) for column in zip(*sample, strict=True))
    given_ = Outcomes(np.full(raw.size, "A"), raw, won, np.arange(raw.size) * DAY)
    found = judged(trial(given_, "s", None))
    forecast = found.model.at(["A"] * 5, np.array([0.0, 50.0, 75.0, 98.0, 100.0]))
    assert (np.diff(forecast) >= 0).all()
    mixed = 0 < won[: int(raw.size * 0.8)].mean() < 1
    assert not mixed or 0 < forecast.min() <= forecast.max() < 100
