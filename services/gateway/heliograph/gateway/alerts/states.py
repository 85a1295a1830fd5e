"""The life of an alert, as pure functions: pending, firing, resolved."""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from heliograph.common.alerts import Rule
from heliograph.common.clock import NANOSECONDS
from heliograph.common.events import Alert
from heliograph.common.ids import derive_id
from heliograph.gateway.alerts.functions import Vector
from heliograph.gateway.alerts.series import labels_of
from heliograph.gateway.alerts.template import fill

ALERT_VERSION = 2
"""Of the event's schema: with labels, value, since and remedy."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """An alert under way, for one set of labels.

    Attributes:
        since: when its condition began to hold, UTC nanoseconds; `held` when it was last seen to.
        value: what the rule's expression last gave; None for what is no finite number.
    """

    name: str
    labels: dict[str, str]
    phase: Literal["pending", "firing"]
    since: int
    held: int
    value: float | None
    summary: str
    remedy: str


Instances = dict[str, Instance]
"""By `key_of` name and labels."""


def key_of(name: str, labels: Mapping[str, str]) -> str:
    """What tells alerts apart, over restarts and replicas."""
    return derive_id("alert", name, *(f"{k}={v}" for k, v in labels_of(labels)))


def advance(
    rule: Rule, known: Instances, found: Vector, now: int, settled: int
) -> tuple[Instances, list[Alert]]:
    """One rule's alerts after a look, and what is to be told.

    Args:
        rule: the rule.
        known: its alerts before, by key.
        found: what its expression gives at `now` (UTC nanoseconds).
        now: the time of the look.
        settled: from when on the samples reach back as far as the rule looks: nothing is resolved before.
    """
    kept: Instances = {}
    told: list[Alert] = []
    for labels, value in found.items():
        named = dict(labels)
        key = key_of(rule.name, named)
        before = known.get(key)
        since = before.since if before else now
        firing = (before is not None and before.phase == "firing") or now - since >= _ns(rule.for_s)
        kept[key] = Instance(
            name=rule.name,
            labels=named,
            phase="firing" if firing else "pending",
            since=since,
            held=now,
            value=value if math.isfinite(value) else None,
            summary=fill(rule.summary, named, value),
            remedy=fill(rule.remedy, named, value),
        )
        if firing and (before is None or before.phase == "pending"):
            told.append(event(rule, kept[key], "firing", now))
    for key, before in known.items():
        if key in kept or before.phase == "pending":
            continue
        if now < settled or now - before.held < _ns(rule.keep_s):
            kept[key] = before
        else:
            told.append(event(rule, before, "resolved", now))
    return kept, told


def event(rule: Rule, instance: Instance, status: Literal["firing", "resolved"], now: int) -> Alert:
    """What is published of a change; its id is the same whoever finds it."""
    return Alert(
        id=derive_id("alert", key_of(rule.name, instance.labels), instance.since, status),
        ts=now,
        name=rule.name,
        severity=rule.severity,
        status=status,
        summary=instance.summary,
        labels=instance.labels,
        value=msgspec.UNSET if instance.value is None else instance.value,
        since=instance.since,
        remedy=instance.remedy,
        v=ALERT_VERSION,
    )


def of_rule(instances: Instances, rule: Rule) -> Instances:
    """The alerts of one rule."""
    return {key: instance for key, instance in instances.items() if instance.name == rule.name}


def carried(instances: Instances, rules: Iterable[Rule], now: int) -> Instances:
    """What another replica or an earlier process left, as from now: of rules that still exist."""
    names = {rule.name for rule in rules}
    return {
        key: msgspec.structs.replace(instance, held=now)
        for key, instance in instances.items()
        if instance.name in names
    }


def _ns(seconds: float) -> int:
    return int(seconds * NANOSECONDS)
