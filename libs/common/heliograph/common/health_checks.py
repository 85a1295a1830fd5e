"""What checks of health say of outcomes, calibrations and keys, by what services answer. Pure."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

STATISTICS = "query.tracker.statistics"
CALIBRATION = "query.tracker.calibration"
LEAST_COVERAGE = 0.99
"""Share of the signals that are due an outcome and have one: the last bar of some may be on its way."""
JUDGED = 1000
"""Ended signals from which it is said whether a calibration does harm."""


class Verdict(msgspec.Struct, frozen=True):
    """How a check has gone, and what was seen."""

    state: Literal["pass", "fail", "skipped"]
    detail: str


def outcomes(answer: Mapping[str, Any]) -> Verdict:
    """Whether the signals that are due an outcome have one, by the answer on all of them."""
    if not answer["groups"]:
        return Verdict("skipped", "no signal yet")
    whole = answer["groups"][0]
    counted = f"{whole['outcomes']:,} of {whole['signals']:,} signals have ended"
    if whole["coverage"] is None:
        return Verdict("skipped", f"{counted}, none is due an outcome")
    due = f"{whole['overdue']:,} are overdue"
    if whole["coverage"] < LEAST_COVERAGE:
        most = 100 * (1 - LEAST_COVERAGE)
        return Verdict("fail", f"{due}, expected under {most:.0f} % of those due: {counted}")
    return Verdict("pass", f"{counted}, {due}")


def calibration(answer: Mapping[str, Any]) -> Verdict:
    """Whether calibrations are in use and do no harm: what was published, against its raw confidence."""
    found = answer["calibrations"]
    if not found:
        return Verdict("skipped", "none is in use yet: confidences are raw, the strength of the votes")
    harmful = [each["strategy"] for each in found if _harms(each["published"])]
    if harmful:
        return Verdict("fail", f"worse than the raw confidence (Brier score): {', '.join(harmful)}")
    seen = ", ".join(f"{each['strategy']} from {each['outcomes']:,} outcomes" for each in found)
    return Verdict("pass", seen)


def keys(states: Mapping[str, str]) -> Verdict:
    """Whether the keys of models are taken, by the state of each as reasoning tells it."""
    refused = sorted(name for name, state in states.items() if state == "refused")
    if refused:
        return Verdict("fail", f"refused by its provider: {', '.join(refused)}; see the page on models")
    held = sorted(name for name, state in states.items() if state == "held")
    if not held:
        return Verdict("skipped", "no key of a model is held: models that need one are not asked")
    return Verdict("pass", ", ".join(held))


def _harms(published: Mapping[str, Any]) -> bool:
    raw, calibrated = published.get("raw"), published.get("calibrated")
    if raw is None or calibrated is None or calibrated["count"] < JUDGED:
        return False
    return bool(calibrated["brier"] > raw["brier"])
