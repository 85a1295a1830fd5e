"""Calibrated confidence is judged out of time, beside the raw one, on the same signals."""

import numpy as np
import pytest

from heliograph.common.outcomes import LOSS, WIN
from heliograph.lab.bars import DAY_NS
from heliograph.lab.reliability import Reliability, reliability
from heliograph.lab.trades import Trades, layout

SIGNALS = 3000


def drawn(win_rate: float, seed: int = 5) -> Trades:
    """Ten signals a day of a raw confidence of 75–95 that win so often, each ended a day later."""
    random = np.random.default_rng(seed)
    made = np.zeros(SIGNALS, layout(2))
    made["ts"] = np.arange(SIGNALS) // 10 * DAY_NS
    made["closed"] = made["ts"] + DAY_NS // 2
    made["raw"] = random.uniform(75, 95, SIGNALS)
    made["result"] = np.where(random.random(SIGNALS) < win_rate, WIN, LOSS)
    return made


@pytest.fixture(scope="module")
def overconfident() -> Reliability:
    return reliability(drawn(0.4), ["A"], "default@1")


def test_an_overconfident_strategy_is_calibrated(overconfident: Reliability) -> None:
    assert overconfident.goal_met
    assert overconfident.calibrated is not None
    assert overconfident.calibrated.forecast == pytest.approx(40, abs=4)
    assert overconfident.brier_gain is not None
    assert overconfident.brier_gain.interval is not None
    assert overconfident.brier_gain.interval.low < overconfident.brier_gain.value < 0.6


def test_signals_before_the_first_model_are_in_neither_figure(overconfident: Reliability) -> None:
    assert overconfident.raw is not None
    assert overconfident.every is not None
    assert overconfident.signals == overconfident.raw.count < SIGNALS == overconfident.every.count
    assert 0 < overconfident.models <= overconfident.trials


def test_the_outcome_of_a_signal_does_not_change_its_own_forecast() -> None:
    """Outcomes of the last day are turned round: forecasts before are as they were."""
    trades = drawn(0.6)
    turned = trades.copy()
    last = trades["ts"] == trades["ts"].max()
    turned["result"][last] = np.where(trades["result"][last] == WIN, LOSS, WIN)
    one, other = (reliability(some, ["A"], "default@1") for some in (trades, turned))
    assert one.calibrated is not None
    assert other.calibrated is not None
    assert one.calibrated.forecast == other.calibrated.forecast
    assert one.calibrated.brier != other.calibrated.brier


def test_without_outcomes_there_is_nothing_to_say() -> None:
    found = reliability(drawn(0.5)[:0], ["A"], "default@1")
    assert (found.signals, found.every, found.goal_met) == (0, None, False)
