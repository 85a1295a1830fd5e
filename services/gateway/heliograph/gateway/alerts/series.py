"""Series of samples in memory, each as long as the rules look back."""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

Labels = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""
LOOKBACK_S = 300.0
"""A sample stands for its series for so long where none follows, as in Prometheus."""


def labels_of(given: Mapping[str, str]) -> Labels:
    """Labels in the one order that makes them comparable."""
    return tuple(sorted(given.items()))


class Series:
    """Times (seconds since 1970, rising) and values; NaN where the series had ended."""

    __slots__ = ("times", "values")

    def __init__(self) -> None:
        self.times = array("d")
        self.values = array("d")

    def append(self, time: float, value: float) -> None:
        """Add a sample; one of the same time or an older one is left out."""
        if not self.times or time > self.times[-1]:
            self.times.append(time)
            self.values.append(value)

    def forget(self, before: float) -> None:
        """Drop what is older."""
        first = bisect_left(self.times, before)
        if first:
            del self.times[:first]
            del self.values[:first]

    def at(self, time: float) -> float | None:
        """The newest value of `LOOKBACK_S` before; None without one, or where the series had ended."""
        place = bisect_right(self.times, time) - 1
        if place < 0 or self.times[place] <= time - LOOKBACK_S:
            return None
        value = self.values[place]
        return None if math.isnan(value) else value

    def between(self, start: float, end: float) -> tuple[list[float], list[float]]:
        """Times and values from `start` to `end`, both included."""
        first, last = bisect_left(self.times, start), bisect_right(self.times, end)
        kept = [place for place in range(first, last) if not math.isnan(self.values[place])]
        return [self.times[p] for p in kept], [self.values[p] for p in kept]


def increase(times: list[float], values: list[float], start: float, end: float) -> float | None:
    """How much a counter has grown from `start` to `end`, reaching out to both as Prometheus does.

    A fall is a reset. None of fewer than two samples. Formula: `extrapolatedRate` of Prometheus.
    """
    if len(times) < 2:  # noqa: PLR2004 - a growth lies between two
        return None
    grown = values[-1] - values[0] + sum(before for before, after in pairwise(values) if after < before)
    sampled = times[-1] - times[0]
    between = sampled / (len(times) - 1)
    to_start, to_end = times[0] - start, end - times[-1]
    if grown > 0 and values[0] >= 0:
        # A counter does not begin below zero.
        to_start = min(to_start, sampled * values[0] / grown)
    reach = 1.1 * between
    covered = sampled + sum(gap if gap < reach else between / 2 for gap in (to_start, to_end))
    return grown * covered / sampled


class Store:
    """The series of the names that the rules use.

    `lookback_s` says for each name how far back its rules look; others are not kept.
    """

    def __init__(self, lookback_s: Mapping[str, float]) -> None:
        self._lookback_s = dict(lookback_s)
        self._series: dict[str, dict[Labels, Series]] = {name: {} for name in lookback_s}

    @property
    def names(self) -> list[str]:
        """What is kept."""
        return sorted(self._lookback_s)

    def add(self, name: str, labels: Labels, time: float, value: float) -> None:
        """Add a sample of a name that is kept; NaN is none."""
        if name in self._series and not math.isnan(value):
            self._series[name].setdefault(labels, Series()).append(time, value)

    def end_silent(self, time: float, without: Iterable[str] = ()) -> None:
        """End the series, but those of some names, that got no sample at this time: their process is gone."""
        spared = set(without)
        for name, found in self._series.items():
            for series in found.values() if name not in spared else ():
                if series.times[-1] < time and not math.isnan(series.values[-1]):
                    series.append(time, math.nan)

    def forget(self, now: float) -> None:
        """Drop what no rule looks at any more."""
        for name, found in self._series.items():
            for labels, series in list(found.items()):
                series.forget(now - self._lookback_s[name])
                if not series.times:
                    del found[labels]

    def select(self, name: str) -> Iterator[tuple[Labels, Series]]:
        """Every series of a name."""
        yield from self._series.get(name, {}).items()
