"""The gateway evaluates the table of alerts as Prometheus does: the cases that promtool runs, run here."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from heliograph.common.alerts import table
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InvariantError
from heliograph.gateway.alerts import promql
from heliograph.gateway.alerts.evaluator import Evaluator
from heliograph.gateway.alerts.series import Labels, Store, increase, labels_of
from heliograph.gateway.alerts.states import Instances, advance, of_rule
from heliograph.gateway.alerts.template import fill

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "prometheus" / "tests"
FILES = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*_test.yml"))]
CASES = [(case, file["evaluation_interval"]) for file in FILES for case in file["tests"]]
PART = re.compile(r"(_|-?[\d.]+)(?:([+-][\d.]+))?(?:x(\d+))?")
UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]]


def expanded(notation: str) -> Iterator[float | None]:
    """The values of promtool's notation: `0+10x3` is 0 10 20 30, `1x3` 1 1 1 1, `_x2` none, twice."""
    for part in notation.split():
        found = PART.fullmatch(part)
        assert found, part
        start, step, times = found[1], float(found[2] or 0), int(found[3] or 0)
        for n in range(times if start == "_" else times + 1):
            yield None if start == "_" else float(start) + n * step


def parsed(series: str) -> tuple[str, Labels]:
    name, _, rest = series.partition("{")
    return name, labels_of(dict(re.findall(r'(\w+)="([^"]*)"', rest)))


class Case:
    """One case of the file, driven as promtool drives it: a look at every interval of evaluation."""

    def __init__(self, case: dict[str, Any], every: str) -> None:
        self._every = seconds(every)
        self._recorded = [(r.record, promql.parse(r.expr)) for r in table().recorded]
        asked = {check["alertname"] for check in case["alert_rule_test"]}
        self._rules = [(r, promql.parse(r.expr)) for r in table().rules if r.name in asked]
        reach: dict[str, float] = {}
        for expr in [e for _, e in self._recorded] + [e for _, e in self._rules]:
            for name, reached in promql.looks_back(expr).items():
                reach[name] = max(reach.get(name, 0.0), reached)
        self._store = Store(reach)
        self._step = seconds(case["interval"])
        self._given = [(*parsed(s["series"]), list(expanded(str(s["values"])))) for s in case["input_series"]]
        self.instances: Instances = {}
        self.now = -self._every

    def advance_to(self, end: int) -> None:
        while self.now < end:
            self.now += self._every
            self._look()

    def _look(self) -> None:
        if self.now % self._step == 0:
            place = self.now // self._step
            for name, labels, values in self._given:
                if place < len(values) and (value := values[place]) is not None:
                    self._store.add(name, labels, self.now, value)
        for record, expr in self._recorded:
            for labels, value in self.values(expr).items():
                self._store.add(record, labels, self.now, value)
        kept: Instances = {}
        for rule, expr in self._rules:
            known = of_rule(self.instances, rule)
            kept |= advance(rule, known, self.values(expr), self.now * NANOSECONDS, 0)[0]
        self.instances = kept

    def values(self, expr: Any) -> dict[Labels, float]:
        return promql.Evaluation(self._store, self.now).vector(expr)


@pytest.mark.parametrize(("case", "every"), CASES, ids=[str(c["name"]).replace(" ", "-") for c, _ in CASES])
def test_the_gateway_raises_what_prometheus_raises(case: dict[str, Any], every: str) -> None:
    run = Case(case, every)
    remedies = {rule.name: rule.remedy for rule in table().rules}
    severities = {rule.name: rule.severity for rule in table().rules}
    for check in sorted(case["alert_rule_test"], key=lambda c: seconds(c["eval_time"])):
        run.advance_to(seconds(check["eval_time"]))
        name = check["alertname"]
        firing = [i for i in run.instances.values() if i.name == name and i.phase == "firing"]
        found = [
            (
                {"severity": severities[name], **i.labels},
                {"summary": i.summary, "remedy": fill(remedies[name], i.labels, i.value or 0.0)},
            )
            for i in firing
        ]
        wanted = [(a["exp_labels"], a["exp_annotations"]) for a in check["exp_alerts"]]
        assert sorted(map(str, found)) == sorted(map(str, map(in_order, wanted))), check


def in_order(alert: tuple[dict[str, str], dict[str, str]]) -> tuple[dict[str, str], dict[str, str]]:
    """Labels as the gateway has them, the severity first."""
    labels, texts = alert
    rest = {name: labels[name] for name in sorted(labels) if name != "severity"}
    return {"severity": labels["severity"], **rest}, {"summary": texts["summary"], "remedy": texts["remedy"]}


def test_every_expression_of_the_table_can_be_evaluated() -> None:
    evaluator = Evaluator(table(), {}, 0)
    assert set(evaluator.names) >= {"up", "heliograph_signals_total", "jetstream_consumer_num_pending"}


@pytest.mark.parametrize(
    "text",
    [
        "sum(",
        "topk(3, up)",
        "up * on (a) max_over_time(up[5m])",
        "avg without (a) (up)",
        "-up",
    ],
)
def test_what_is_not_evaluated_here_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(InvariantError):
        promql.parse(text)


def test_a_counter_that_falls_began_anew() -> None:
    assert increase([0, 10, 20, 30], [5, 8, 1, 3], 0, 30) == pytest.approx(6)
    assert increase([0], [5], 0, 30) is None


@pytest.mark.parametrize(
    ("form", "value", "shown"),
    [
        ("humanize", 1234567.0, "1.235M"),
        ("humanize", 0.0123, "12.3m"),
        ("humanize", 0.0, "0"),
        ("humanizePercentage", 0.05, "5%"),
        ("humanizeDuration", 0.25, "250ms"),
        ("humanizeDuration", 90061.0, "1d 1h 1m 1s"),
    ],
)
def test_figures_read_as_in_prometheus(form: str, value: float, shown: str) -> None:
    assert fill("{{ $value | " + form + " }}", {}, value) == shown


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(InvariantError, match="toUpper"):
        fill("{{ $value | toUpper }}", {}, math.pi)
