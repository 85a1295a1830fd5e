"""Facts as companies file them with the SEC, and what of them was known on a day."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta

import msgspec

from heliograph.common.errors import InputError
from heliograph.reasoning.panel.records import concepts

FORMS = ("10-K", "10-Q", "20-F", "40-F")
YEAR_DAYS = (345, 385)
"""A fiscal year of 52 or 53 weeks, or of twelve months."""
PART_DAYS = (75, 300)
DAY = timedelta(days=1)
SLACK = timedelta(days=10)


class Fact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One value that one filing reports; `start` is None for what holds on a day."""

    end: date
    value: float
    filed: date
    start: date | None = None

    @property
    def days(self) -> int:
        """Length of its period, both ends included; 0 for a day."""
        return 0 if self.start is None else (self.end - self.start).days + 1


Facts = Mapping[str, tuple[Fact, ...]]
"""By concept, in the order of filing."""


class _Row(msgspec.Struct):
    end: date
    val: float
    form: str
    filed: date
    start: date | None = None


class _Concept(msgspec.Struct):
    units: dict[str, list[_Row]]


class _CompanyFacts(msgspec.Struct):
    facts: dict[str, dict[str, msgspec.Raw]]


def decode(payload: bytes, where: str) -> Facts:
    """Read an answer of the SEC's `companyfacts`; concepts that nobody asks for are passed over.

    Raises:
        InputError: it is none.
    """
    try:
        taxonomies = msgspec.json.decode(payload, type=_CompanyFacts).facts
        return {
            name: _rows(msgspec.json.decode(raw, type=_Concept))
            for taxonomy in taxonomies.values()
            for name, raw in taxonomy.items()
            if name in concepts.ALL
        }
    except msgspec.DecodeError as error:
        raise InputError(f"{where}: {error}, expected an answer of the SEC's companyfacts") from None


def _rows(concept: _Concept) -> tuple[Fact, ...]:
    rows = (row for unit in concept.units.values() for row in unit if row.form.startswith(FORMS))
    facts = [Fact(start=r.start, end=r.end, value=r.val, filed=r.filed) for r in rows]
    return tuple(sorted(facts, key=lambda fact: fact.filed))


class Known:
    """The facts that were filed up to a day; of a restated one the newest."""

    def __init__(self, facts: Facts, asof: date) -> None:
        self._values: dict[str, dict[tuple[date | None, date], float]] = {}
        self._first: dict[date, date] = {}
        self._over: dict[str, dict[date, dict[date, float]]] = {}
        """Concept → end → start → value, of periods over a time: most questions name the end."""
        for concept, rows in facts.items():
            known = self._values.setdefault(concept, {})
            for fact in rows:
                if fact.filed > asof:
                    break
                known[fact.start, fact.end] = fact.value
                if fact.start is not None:
                    over = self._over.setdefault(concept, {})
                    over.setdefault(fact.end, {})[fact.start] = fact.value
                self._first.setdefault(fact.end, fact.filed)
                self._first[fact.end] = min(self._first[fact.end], fact.filed)

    def filed(self, end: date) -> date:
        """When anything of a period's end was first filed."""
        return self._first[end]

    def ends(self, names: Iterable[str]) -> list[date]:
        """Ends of the periods over a time that any of the concepts reports, newest first."""
        found = {end for name in names for start, end in self._values.get(name, {}) if start is not None}
        return sorted(found, reverse=True)

    def year(self, names: Iterable[str], end: date) -> float | None:
        """The value over the fiscal year that ends on a day, of the first concept that has one."""
        return self._first_of(names, lambda name: self._year(name, end))

    def trailing(self, names: Iterable[str], end: date) -> float | None:
        """The value over the twelve months up to a day: last year, plus this year's part, less last year's.

        A quarter's own filing says it for the year to date, so that the fourth quarter needs no filing.
        """
        return self._first_of(names, lambda name: self._trailing(name, end))

    def on(self, names: Iterable[str], day: date) -> float | None:
        """The value on a day, of the first concept that has one."""
        return self._first_of(names, lambda name: self._values.get(name, {}).get((None, day)))

    def after(self, name: str, day: date, within: timedelta) -> float | None:
        """The first value on a day from `day` on."""
        days = [
            end for start, end in self._values.get(name, {}) if start is None and day <= end <= day + within
        ]
        return self._values[name][None, min(days)] if days else None

    def _first_of(self, names: Iterable[str], look: Callable[[str], float | None]) -> float | None:
        return next((value for name in names if (value := look(name)) is not None), None)

    def _year(self, name: str, end: date) -> float | None:
        for start, value in self._over.get(name, {}).get(end, {}).items():
            if YEAR_DAYS[0] <= (end - start).days + 1 <= YEAR_DAYS[1]:
                return value
        return None

    def _trailing(self, name: str, end: date) -> float | None:
        whole = self._year(name, end)
        if whole is not None:
            return whole
        over = self._over.get(name, {})
        parts = [
            (start, value)
            for start, value in over.get(end, {}).items()
            if PART_DAYS[0] <= (end - start).days + 1 <= PART_DAYS[1]
        ]
        if not parts:
            return None
        start, part = min(parts)
        year_end, before_start, before_end = start - DAY, _year_before(start), _year_before(end)
        year = next((self._year(name, e) for e in over if abs(e - year_end) <= SLACK), None)
        before = next(
            (
                value
                for e, starts in over.items()
                if abs(e - before_end) <= SLACK
                for s, value in starts.items()
                if abs(s - before_start) <= SLACK
            ),
            None,
        )
        return None if year is None or before is None else year + part - before


def _year_before(day: date) -> date:
    return day - timedelta(days=365)
