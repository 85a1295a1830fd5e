"""The table of alerts over the samples of the members: pure, driven by the times that it is told."""

from collections.abc import Iterable, Sequence

import msgspec
import promql_parser as ast

from heliograph.common.alerts import Rule, Table
from heliograph.common.clock import NANOSECONDS
from heliograph.common.events import Alert
from heliograph.common.samples import Measured
from heliograph.gateway.alerts import promql
from heliograph.gateway.alerts.series import Labels, Store, labels_of
from heliograph.gateway.alerts.states import Instances, advance, carried, of_rule

UP = "up"
JOB = "heliograph"
"""The label `job` of the services, as in Prometheus's configuration."""
COUNTED = ("_total", "_count", "_bucket")
BACKFILL_S = 240.0
SETTLE_S = 60.0
"""Nothing is resolved so soon after a start: a member may have missed the first question."""


class Sample(msgspec.Struct, frozen=True):
    """A figure that is not of a member, e.g. what waits in a stream."""

    name: str
    labels: Labels
    value: float


class Evaluator:
    """Everything that the watching replica knows. `look` is called again and again, with rising times."""

    def __init__(self, table: Table, known: Instances, now: int) -> None:
        self._recorded = [(r.record, promql.parse(r.expr)) for r in table.recorded]
        self._rules = [(rule, promql.parse(rule.expr)) for rule in table.rules]
        expressions = [expr for _, expr in self._recorded + self._rules]
        reach: dict[str, float] = {}
        for expr in expressions:
            for name, seconds in promql.looks_back(expr).items():
                reach[name] = max(reach.get(name, 0.0), seconds)
        self._reach = reach
        self._store = Store(reach)
        self._settled = {rule.name: now + self._settles(expr) for rule, expr in self._rules}
        self._members: dict[tuple[str, str], bool] = {}
        self.instances = carried(known, table.rules, now)

    @property
    def names(self) -> list[str]:
        """The series to ask the members for."""
        return self._store.names

    @property
    def members(self) -> int:
        """How many members answered the last time."""
        return sum(self._members.values())

    def _settles(self, expr: ast.Expr) -> int:
        recorded = dict(self._recorded)
        named = [recorded[name] for name in promql.looks_back(expr) if name in recorded]
        return int(max(SETTLE_S, *map(promql.reaches, [expr, *named])) * NANOSECONDS)

    def look(self, now: int, answers: Sequence[Measured], others: Iterable[Sample]) -> list[Alert]:
        """Take what the members measure at `now` (UTC nanoseconds) and find what has changed."""
        seconds = now / NANOSECONDS
        self._take(seconds, answers)
        for sample in others:
            self._store.add(sample.name, sample.labels, seconds, sample.value)
        self._store.end_silent(seconds, without=[record for record, _ in self._recorded])
        for record, expr in self._recorded:
            for labels, value in promql.Evaluation(self._store, seconds).vector(expr).items():
                self._store.add(record, labels, seconds, value)
        told: list[Alert] = []
        kept: Instances = {}
        for rule, expr in self._rules:
            instances, news = self._advance(rule, expr, now)
            kept |= instances
            told += news
        self.instances = kept
        self._store.forget(seconds)
        return told

    def _advance(self, rule: Rule, expr: ast.Expr, now: int) -> tuple[Instances, list[Alert]]:
        found = promql.Evaluation(self._store, now / NANOSECONDS).vector(expr)
        return advance(rule, of_rule(self.instances, rule), found, now, self._settled[rule.name])

    def _take(self, seconds: float, answers: Sequence[Measured]) -> None:
        """Store the samples. A member that falls silent is down, until another of its service is up."""
        answered = {(a.service, a.member) for a in answers}
        alive = {service for service, _ in answered}
        for member in [m for m in self._members if m not in answered and m[0] in alive]:
            del self._members[member]
        first = {member for member in answered if member not in self._members}
        self._members = dict.fromkeys(self._members, False) | dict.fromkeys(answered, True)
        for (service, instance), up in self._members.items():
            labels = labels_of({"job": JOB, "service": service, "instance": instance})
            self._store.add(UP, labels, seconds, float(up))
        for measured in answers:
            for name, given, value in measured.samples:
                labels = labels_of(
                    {"job": JOB, "instance": measured.member, "service": measured.service} | given
                )
                if (measured.service, measured.member) in first and name.endswith(COUNTED):
                    self._backfill(name, labels, measured.started, seconds, value)
                self._store.add(name, labels, seconds, value)

    def _backfill(self, name: str, labels: Labels, started: float, now: float, value: float) -> None:
        """A counter seen for the first time had its value since its process began, as far as is known.

        Without this every restart of the watch would take all that was ever counted for news.
        """
        time = max(started, now - self._reach.get(name, 0.0))
        while time < now:
            self._store.add(name, labels, time, value)
            time += BACKFILL_S
