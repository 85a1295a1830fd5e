"""What others may ask about money: `query.reasoning.spend`, today's use of each provider and its budget."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from heliograph.common.answering import answering
from heliograph.common.bus import Bus
from heliograph.common.clock import NANOSECONDS
from heliograph.common.spend.meter import Meter
from heliograph.common.spend.spend import Spend
from heliograph.common.spend.usage import Usage, Use, days_of_month
from heliograph.reasoning.group import GROUP

if TYPE_CHECKING:
    from heliograph.reasoning.models.build import BuiltModels

SUBJECT = "query.reasoning.spend"
PANEL = "panel"
"""The purpose that is no signal's: its calls are in no cost per signal."""


class SpendQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Today (UTC), and its month."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's budget today, US dollars over all replicas; `reserved` is held for calls under way."""

    name: str
    limit: float
    reserved: float
    spent: float
    left: float
    resets_ts: int


class PurposeUse(msgspec.Struct, frozen=True, kw_only=True):
    """What one purpose (reason, vote, panel) has taken of a provider."""

    calls: int
    cached: int
    cost: float


class ProviderUse(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's use today; `breaker` and `p95_s` (seconds) as the replica sees them that answers.

    Attributes:
        model: empty where the provider is not among the configured ones any more.
        calls: requests that went out, `failures` of them without an answer; `cached` questions needed none.
    """

    provider: str
    model: str
    calls: int
    cached: int
    tokens_in: int
    tokens_out: int
    cost: float
    failures: int
    breaker: str
    p95_s: float | None
    purposes: dict[str, PurposeUse]


class DayUse(msgspec.Struct, frozen=True, kw_only=True):
    """One day of the month; `total` in US dollars."""

    day: str
    total: float
    calls: int
    signals: int


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """The month up to today; `cost_per_signal` is None without a signal."""

    month: str
    total: float
    signals: int
    cost_per_signal: float | None
    days: list[DayUse]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Today's spending, US dollars.

    Attributes:
        alone: the replica that answers spends its share only, since Redis is away.
        signals: that were explained; `cost_per_signal` and `calls_per_signal` are without the panel's calls.
        hit_rate: share of the questions of reasons and votes that needed no call; None without any.
    """

    day: str
    currency: str
    total: float
    resets_ts: int
    alone: bool
    budgets: list[Budget]
    providers: list[ProviderUse]
    signals: int
    cost_per_signal: float | None
    calls_per_signal: float | None
    hit_rate: float | None
    month: Month


class Spending:
    """The answers; `models` is None where there is no key, `data` are the meters of paid data in `spend`."""

    def __init__(
        self, usage: Usage, models: "BuiltModels | None", spend: Spend, data: Sequence[Meter] = ()
    ) -> None:
        self._usage = usage
        self._models = models
        self._spend = spend
        self._data = data

    async def register(self, bus: Bus) -> None:
        """Answer on the bus, one replica a request."""
        await bus.respond(SUBJECT, answering(SpendQuery, self.report), queue=GROUP)

    async def report(self, _: SpendQuery) -> Report:
        """The spending of today over all replicas, as far as Redis tells it."""
        today = self._usage.today()
        days = await self._usage.of(days_of_month(today))
        uses = days[today]
        ours = [use for use in uses if use.purpose != PANEL]
        signals, asked = total(uses, "signals"), total(ours, "asked")
        return Report(
            day=today,
            currency="USD",
            total=dollars(total(uses, "cost")),
            resets_ts=_resets(today),
            alone=self._models is not None and self._models.spend.alone,
            budgets=await self._budgets(_resets(today)),
            providers=self._providers(uses),
            signals=signals,
            cost_per_signal=share(dollars(total(ours, "cost")), signals),
            calls_per_signal=share(total(ours, "calls"), signals),
            hit_rate=share(total(ours, "cached"), asked),
            month=_month(days),
        )

    async def _budgets(self, resets_ts: int) -> list[Budget]:
        kept = [(calls.meter, self._models.spend) for calls in self._models.calls] if self._models else []
        return [
            await _budget(meter, spend, resets_ts)
            for meter, spend in (*kept, *((meter, self._spend) for meter in self._data))
        ]

    def _providers(self, uses: list[Use]) -> list[ProviderUse]:
        configured = {calls.provider.name: calls for calls in self._models.calls} if self._models else {}
        states = self._models.states() if self._models else {}
        names = [*configured, *sorted({use.provider for use in uses if use.provider} - set(configured))]
        found = []
        for name in names:
            own = [use for use in uses if use.provider == name]
            breaker, p95_s = states.get(name, ("unknown", None))
            found.append(
                ProviderUse(
                    provider=name,
                    model=configured[name].provider.model if name in configured else "",
                    calls=total(own, "calls"),
                    cached=total(own, "cached"),
                    tokens_in=total(own, "tokens_in"),
                    tokens_out=total(own, "tokens_out"),
                    cost=dollars(total(own, "cost")),
                    failures=total(own, "failures"),
                    breaker=breaker,
                    p95_s=p95_s,
                    purposes={
                        use.purpose: PurposeUse(calls=use.calls, cached=use.cached, cost=dollars(use.cost))
                        for use in own
                    },
                )
            )
        return found


async def _budget(meter: Meter, spend: Spend, resets_ts: int) -> Budget:
    spent, held = await spend.standing(meter)
    return Budget(
        name=meter.name,
        limit=dollars(meter.daily_budget),
        reserved=dollars(held),
        spent=dollars(spent),
        left=dollars(max(0, meter.daily_budget - spent - held)),
        resets_ts=resets_ts,
    )


def total(uses: Iterable[Use], field: str) -> int:
    """The sum of a count."""
    return sum(getattr(use, field) for use in uses)


def dollars(nanodollars: int) -> float:
    """US dollars."""
    return nanodollars / NANOSECONDS


def share(amount: float, count: int) -> float | None:
    """An amount by a count; None where there is nothing to divide by."""
    return amount / count if count else None


def _resets(day: str) -> int:
    """When the day's budgets end: the next midnight, UTC nanoseconds."""
    end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)
    return int(end.timestamp()) * NANOSECONDS


def _month(days: dict[str, list[Use]]) -> Month:
    ours = [use for uses in days.values() for use in uses if use.purpose != PANEL]
    signals = total(ours, "signals")
    return Month(
        month=min(days)[:7],
        total=sum(dollars(total(uses, "cost")) for uses in days.values()),
        signals=signals,
        cost_per_signal=share(dollars(total(ours, "cost")), signals),
        days=[
            DayUse(
                day=day,
                total=dollars(total(uses, "cost")),
                calls=total(uses, "calls"),
                signals=total(uses, "signals"),
            )
            for day, uses in days.items()
            if uses
        ],
    )
