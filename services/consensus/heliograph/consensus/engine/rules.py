"""Every number that the rules rest on, with its default; a wrong one names its key at the start."""

from decimal import Decimal
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from heliograph.common.outcomes import DEFAULT_EXPIRY_DAYS
from heliograph.consensus.engine.layout import Records


class Rules(BaseModel):
    """The numbers of the votes (points of 100), the regimes, the gate and the prices."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    floor: float = Field(50, ge=0, le=100, description="points under which a source abstains")
    cap: float = Field(95, ge=0, le=100, description="points that a source has at most")

    trend_base: float = Field(65, ge=0, le=100)
    trend_aligned: float = Field(15, ge=0, le=100, description="close, SMA20 and SMA50 in order")
    trend_side: float = Field(10, ge=0, le=100, description="close on one side of SMA20, not in order")
    trend_volume: float = Field(10, ge=0, le=100, description="volume over `volume_ratio` × its mean")
    trend_some_volume: float = Field(5, ge=0, le=100, description="volume from its mean up to that")
    trend_change: float = Field(10, ge=0, le=100, description="5-bar change over `change` either way")
    volume_ratio: float = Field(1.2, ge=1, le=100)
    change: float = Field(0.02, gt=0, le=10)

    technical_base: float = Field(65, ge=0, le=100)
    rsi_oversold: float = Field(30, ge=0, le=100)
    rsi_overbought: float = Field(70, ge=0, le=100)
    rsi_low: float = Field(45, ge=0, le=100)
    rsi_high: float = Field(60, ge=0, le=100)
    rsi_extreme: float = Field(20, ge=0, le=100, description="RSI under oversold or over overbought")
    rsi_lean: float = Field(10, ge=0, le=100, description="RSI under low or over high")
    price_agrees: float = Field(15, ge=0, le=100)
    price_disagrees: float = Field(10, ge=0, le=100, description="taken away")
    macd_agrees: float = Field(10, ge=0, le=100)
    macd_disagrees: float = Field(5, ge=0, le=100, description="taken away")
    averages_agree: float = Field(5, ge=0, le=100)
    fallback_side: float = Field(8, ge=0, le=100, description="RSI neutral: the trend's side")
    fallback_aligned: float = Field(10, ge=0, le=100, description="the same when all are in order")

    swing_slope: float = Field(0.01, gt=0, le=1, description="slope of EMA20 over 6 bars, share of the price")
    swing_slope_strong: float = Field(0.02, gt=0, le=1)
    swing_rsi_up: float = Field(60, ge=50, le=100, description="RSI of a trend up; mirrored for down")
    swing_rsi_low: float = Field(35, ge=0, le=50, description="RSI of a reversal up; mirrored for down")
    swing_pocket_stop: float = Field(0.2, ge=0, le=100, description="ATRs under bar and pocket")
    swing_continuation_stop: float = Field(1.2, gt=0, le=100, description="ATRs under the entry")
    swing_continuation_target: float = Field(2, gt=0, le=100, description="ATRs over the entry, at least")
    swing_reversal_stop: float = Field(1, ge=0, le=100, description="ATRs under the bar")
    swing_reversal_target: float = Field(1.5, gt=0, le=100, description="ATRs over the price")
    swing_strong: float = Field(0.35, ge=0, le=1, description="confidence of a strong trend")
    swing_trend: float = Field(0.25, ge=0, le=1)
    swing_sideways: float = Field(0.15, ge=0, le=1)
    swing_reward: float = Field(0.2, ge=0, le=1, description="confidence for each R of the entry")
    swing_reward_most: float = Field(0.4, ge=0, le=1)
    swing_alignment: float = Field(0.05, ge=0, le=1, description="for each higher timeframe that agrees")
    swing_stronger: float = Field(0.05, ge=0, le=1, description="stronger than the benchmark")
    swing_prior: float = Field(0.4, ge=0, le=1, description="share of the prior once there are outcomes")

    crisis_ratio: float = Field(1.5, gt=0, le=100, description="std of 20 returns over that of 50")
    volatile_atr: float = Field(0.03, gt=0, le=10, description="ATR14 as a fraction of the price")
    trending_distance: float = Field(
        0.10, gt=0, le=10, description="distance from SMA200 as a fraction of it"
    )
    multiplier_unknown: float = Field(1.0, gt=0, le=2)
    multiplier_crisis: float = Field(0.85, gt=0, le=2)
    multiplier_bull: float = Field(1.05, gt=0, le=2)
    multiplier_bear: float = Field(0.95, gt=0, le=2)
    multiplier_chop: float = Field(0.90, gt=0, le=2)

    quorum: float = Field(0.5, ge=0, le=1, description="share of the eligible weight that must have voted")
    raw_cap: float = Field(98, gt=0, le=100)
    gate: float = Field(75, ge=0, le=100)
    wait_s: float = Field(
        30, gt=0, le=86_400, description="for votes from outside, event time from the close"
    )
    early_exit: bool = Field(default=True, description="ask no more once nothing can carry it over the gate")
    partial_exit: float = Field(0, ge=0, le=100, description="raw without votes from outside; loses signals")
    continue_exit: float = Field(0, ge=0, le=100, description="raw after each tier asked; loses signals")

    event_minutes: float = Field(
        30, ge=0, le=100_000, description="before and after an event of the events file: no signal"
    )

    stop: float = Field(0.03, gt=0, lt=1, description="distance of the stop as a fraction of the entry")
    target: float = Field(0.05, gt=0, lt=1)
    stop_atr: float = Field(0, ge=0, le=100, description="ATR14s to the stop instead of `stop`; 0: none")
    target_atr: float = Field(0, ge=0, le=100, description="ATR14s to the target instead of `target`")
    swing_prices: bool = Field(
        default=True, description="prices of the swing source where it votes for the signal"
    )
    tick: float = Field(0.01, ge=1e-6, le=1)
    tick_under_one: float = Field(0.0001, ge=1e-6, le=1, description="tick of prices under 1.00")
    expiry_days: float = Field(DEFAULT_EXPIRY_DAYS, gt=0, le=3650)
    swing_expiry_days: float = Field(
        2, gt=0, le=3650, description="of signals with swing prices, on bars shorter than a day"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.rsi_oversold <= self.rsi_low <= self.rsi_high <= self.rsi_overbought:
            raise ValueError(
                f"rsi_low: {self.rsi_low} and rsi_high: {self.rsi_high}, expected in order between "
                f"rsi_oversold {self.rsi_oversold} and rsi_overbought {self.rsi_overbought}"
            )
        if self.swing_slope_strong < self.swing_slope:
            raise ValueError(
                f"swing_slope_strong: {self.swing_slope_strong}, "
                f"expected at least swing_slope {self.swing_slope}"
            )
        for name in ("tick", "tick_under_one"):
            if 1 % Decimal(str(getattr(self, name))):
                raise ValueError(f"{name}: {getattr(self, name)}, expected a whole number of ticks in 1.00")
        return self

    def record(self) -> Records:
        """One record with these fields, as the kernel reads them; shape (1,)."""
        values = self.model_dump()
        layout = np.dtype([(name, "<f8") for name in values])
        return np.array([tuple(values.values())], dtype=layout)
