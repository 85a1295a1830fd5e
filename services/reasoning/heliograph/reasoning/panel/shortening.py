"""A verdict as it is told to who asks for it; the whole of it stands in ANALYSIS."""

from typing import Any

import msgspec

from heliograph.common.events import Prediction, Verdict


def shortened(verdict: Verdict) -> Verdict:
    """The verdict without the questions, answers and figures of its predictions."""
    told: Any = verdict.predictions
    predictions: list[Prediction] = [] if told is msgspec.UNSET else told
    short = [msgspec.structs.replace(p, facts="{}", prompt="", answer="") for p in predictions]
    return msgspec.structs.replace(verdict, predictions=short)
