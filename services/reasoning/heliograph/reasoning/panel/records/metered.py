"""Paid data: money and calls of a provider are reserved before each request, over all replicas."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import HeliographError
from heliograph.common.spend.meter import Denied, Meter
from heliograph.common.spend.spend import Spend

WAIT_S = 10.0
"""For room in the window of calls."""
UNPAID = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.PAYMENT_REQUIRED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)


class PaidData(BaseModel):
    """What a provider of data costs, and what it may: US dollars."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    call_price: float = Field(0.0, ge=0, description="of one request; 0 under a flat rate")
    daily_budget: float = Field(5.0, ge=0, description="a day (UTC), over all replicas")
    calls_per_minute: int = Field(250, ge=1, description="in any 60 seconds, over all replicas")


def meter(name: str, limits: PaidData) -> Meter:
    """The limits as they are kept over all replicas; a request holds what it costs."""
    return Meter(
        name=name,
        daily_budget=round(limits.daily_budget * NANOSECONDS),
        largest=round(limits.call_price * NANOSECONDS),
        calls=limits.calls_per_minute,
    )


class NoLeaveError(HeliographError):
    """The budget of the day is used up, or the window of calls is full: no failure, but no data either."""


class Metered:
    """Leave for requests to one provider."""

    def __init__(self, meter: Meter, spend: Spend) -> None:
        self._spend = spend
        self.meter = meter

    @asynccontextmanager
    async def leave(self) -> AsyncIterator["Bill"]:
        """Leave for one request; what the bill says at the end is spent. Unanswered, it counts as paid for.

        Raises:
            NoLeaveError: there is no money left today, or no room in the window for `WAIT_S`.
        """
        price = self.meter.largest
        found = await self._spend.reserve(self.meter, hold=price, estimate=price, wait_s=WAIT_S)
        if isinstance(found, Denied):
            raise NoLeaveError(f"{self.meter.name}: {found.reason}: {found.detail}")
        bill = Bill(price)
        try:
            yield bill
        finally:
            await self._spend.settle(found, bill.cost)


class Bill:
    """What one request has cost, nanodollars."""

    def __init__(self, price: int) -> None:
        self.cost = price

    def answered(self, status: int) -> None:
        """Refusals and failures of the provider cost nothing."""
        if status in UNPAID or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.cost = 0
