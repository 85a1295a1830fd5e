"""Functions of PromQL over whole vectors."""

import math
import re
from collections import defaultdict

from heliograph.gateway.alerts.series import Labels, labels_of

Vector = dict[Labels, float]
"""Labels without the metric's name → value."""


def quantiles(share: float, buckets: Vector) -> Vector:
    """The quantile of each histogram, from its cumulated buckets. Formula: `bucketQuantile` of Prometheus."""
    groups: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for labels, count in buckets.items():
        named = dict(labels)
        if "le" in named:
            bound = float(named.pop("le"))
            groups[labels_of(named)].append((bound, count))
    return {labels: _quantile(share, sorted(found)) for labels, found in groups.items()}


def _quantile(share: float, buckets: list[tuple[float, float]]) -> float:
    if not math.isinf(buckets[-1][0]) or len(buckets) < 2 or not buckets[-1][1]:  # noqa: PLR2004 - one and +Inf
        return math.nan
    highest = 0.0
    for place, (bound, count) in enumerate(buckets):
        # A sum over replicas may fall a little where one was read earlier than another.
        highest = max(highest, count)
        buckets[place] = (bound, highest)
    rank = share * highest
    place = next((p for p, (_, count) in enumerate(buckets[:-1]) if count >= rank), len(buckets) - 1)
    bound, count = buckets[place]
    if place == len(buckets) - 1:
        return buckets[-2][0]
    if place == 0 and bound <= 0:
        return bound
    start, below = buckets[place - 1] if place else (0.0, 0.0)
    return start + (bound - start) * (rank - below) / (count - below)


def relabelled(vector: Vector, target: str, form: str, source: str, pattern: str) -> Vector:
    """`label_replace`: where the whole of a label matches, another one set from the groups."""
    found: Vector = {}
    for labels, value in vector.items():
        named = dict(labels)
        matched = re.fullmatch(pattern, named.get(source, ""))
        if matched:
            named[target] = matched.expand(re.sub(r"\$(\d+)", r"\\\1", form))
        found[labels_of({k: v for k, v in named.items() if v})] = value
    return found
