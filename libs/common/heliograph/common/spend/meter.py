"""What a metered provider may be used, and what is said to one who wants to."""

from typing import Literal

import msgspec


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one provider over all replicas.

    Attributes:
        daily_budget: nanodollars a day (UTC).
        largest: nanodollars that one call may hold at most.
        calls: in any window of `window_s` seconds.
    """

    name: str
    daily_budget: int
    largest: int
    calls: int
    window_s: float = 60.0


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Leave for one call. It must be settled, with what the call has cost.

    Attributes:
        day: UTC, as `2026-03-02`; the call counts on this day's budget whenever it ends.
        hold: nanodollars kept from all others meanwhile: the most that the call can cost.
        estimate: what the call counts if it is never settled, because its process died.
        alone: given out of this replica's share.
    """

    id: str
    meter: Meter
    day: str
    hold: int
    estimate: int
    alone: bool = False


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """No leave: the day's budget is used up, or the window is full for `wait_s` seconds more."""

    reason: Literal["budget", "rate"]
    wait_s: float = 0.0
    detail: str
