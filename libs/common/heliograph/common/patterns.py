"""Cases of the pattern search: what a symbol looked like when a signal was given, as sixteen numbers."""

import math
from typing import Annotated

import msgspec

FEATURES = (
    "ema_slope",
    "rsi",
    "atr_percent",
    "above_ema",
    "previous_range_percent",
    "gap_percent",
    "pocket_place",
    "in_pocket",
    "r",
    "trend_up",
    "trend_down",
    "sideways",
    "session_open",
    "session_close",
    "model_confidence",
    "volatility_regime",
)
"""What each number of a case is, in this order; as measured, not scaled. `above_ema`, `in_pocket`, the trend
and the session are 0 or 1; the volatility regime is 0, 1 or 2 for low, middle and high."""
VOLATILITY = FEATURES.index("volatility_regime")

Features = Annotated[list[float], msgspec.Meta(min_length=len(FEATURES), max_length=len(FEATURES))]


class PatternCase(msgspec.Struct, frozen=True, kw_only=True):
    """One case.

    Attributes:
        signal: id of the signal whose outcome will be the case's.
        symbol: its symbol; `ts` its event time, nanoseconds.
        features: one number for each of `FEATURES`.
    """

    signal: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    symbol: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    ts: Annotated[int, msgspec.Meta(ge=0)]
    features: Features

    def __post_init__(self) -> None:
        check_features(self.features)


def check_features(features: list[float]) -> None:
    """Nothing, when the numbers can be a case's.

    Raises:
        ValueError: one is not finite, or the volatility regime is none.
    """
    for name, value in zip(FEATURES, features, strict=True):
        if not math.isfinite(value):
            raise ValueError(f"{name}: {value!r}, expected a finite number")
    if features[VOLATILITY] not in (0, 1, 2):
        raise ValueError(f"volatility_regime: {features[VOLATILITY]!r}, expected 0, 1 or 2")
