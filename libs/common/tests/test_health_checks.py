"""What the checks of health say of outcomes and calibrations."""

from typing import Any

import pytest

from heliograph.common.health_checks import JUDGED, calibration, keys, outcomes

WHOLE = {"outcomes": 990, "signals": 1_200, "overdue": 10, "coverage": 0.99}


@pytest.mark.parametrize(
    ("groups", "state", "said"),
    [
        ([], "skipped", "no signal yet"),
        ([{**WHOLE, "coverage": None}], "skipped", "none is due"),
        ([WHOLE], "pass", "990 of 1,200 signals have ended, 10 are overdue"),
        ([{**WHOLE, "coverage": 0.98}], "fail", "10 are overdue, expected under 1 %"),
    ],
)
def test_signals_that_are_due_have_an_outcome(groups: list[Any], state: str, said: str) -> None:
    verdict = outcomes({"groups": groups})
    assert verdict.state == state
    assert said in verdict.detail


@pytest.mark.parametrize(
    ("published", "state"),
    [
        ({"raw": None, "calibrated": None}, "pass"),
        ({"raw": {"brier": 0.2}, "calibrated": {"brier": 0.3, "count": JUDGED - 1}}, "pass"),
        ({"raw": {"brier": 0.3}, "calibrated": {"brier": 0.2, "count": JUDGED}}, "pass"),
        ({"raw": {"brier": 0.2}, "calibrated": {"brier": 0.3, "count": JUDGED}}, "fail"),
    ],
)
def test_a_calibration_in_use_does_no_harm(published: dict[str, Any], state: str) -> None:
    used = {"strategy": "default@2", "outcomes": 600, "published": published}
    verdict = calibration({"calibrations": [used]})
    assert verdict.state == state
    assert "default@2" in verdict.detail


@pytest.mark.parametrize(
    ("states", "state", "said"),
    [
        ({}, "skipped", "no key"),
        ({"GLM_API_KEY": "missing"}, "skipped", "no key"),
        ({"GLM_API_KEY": "held", "QWEN_API_KEY": "missing"}, "pass", "GLM_API_KEY"),
        ({"GLM_API_KEY": "held", "QWEN_API_KEY": "refused"}, "fail", "refused by its provider: QWEN_API_KEY"),
    ],
)
def test_a_key_that_is_refused_is_named(states: dict[str, str], state: str, said: str) -> None:
    verdict = keys(states)
    assert verdict.state == state
    assert said in verdict.detail


def test_before_the_first_calibration_there_is_nothing_to_check() -> None:
    assert calibration({"calibrations": []}).state == "skipped"
