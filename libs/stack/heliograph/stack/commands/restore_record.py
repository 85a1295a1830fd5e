"""Archived days into the record: the archiver proves them, the tracker keeps what it lacks."""

from collections.abc import AsyncIterator
from typing import Any

from heliograph.common.bus import Bus
from heliograph.common.errors import InputError
from heliograph.stack.commands.asking import Ask

WITHIN_S = 600.0
"""How long one answer may take: a verification reads every object."""
RECORD = ("outcomes", "reasons", "signals")
"""Signals come last: one whose outcome is there already is not taken for open."""


async def archived_days(bus: Bus, body: dict[str, str]) -> list[Any]:
    """All days that are archived, page by page, of `table`, from `first` to `last`."""
    days: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = await bus.request("query.archiver.archived", {**body, **more}, timeout=WITHIN_S)
        days += page["days"]
        cursor = page["cursor"]
    return days


def into_the_record(body: dict[str, str]) -> Ask:
    """Restore the days that `table`, `first` and `last` choose; what became of their events, in figures.

    Raises:
        InputError: the table is none of the record, no day is archived, or an object is not whole.
    """

    async def ask(bus: Bus) -> dict[str, Any]:
        if body.get("table", "signals") not in RECORD:
            raise InputError(f"table: {body['table']!r}, expected one of {', '.join(RECORD)}")
        days = [day for day in await archived_days(bus, body) if day["table"] in RECORD]
        if not days:
            raise InputError("day: nothing of the record is archived in it, expected at least one day")
        said: dict[str, Any] = {"days": len(days), "events": 0, "new": 0, "there": 0, "differing": 0}
        different: list[str] = []
        for table in RECORD:
            for day in sorted(each["day"] for each in days if each["table"] == table):
                async for events in _events(bus, table, day):
                    found = await bus.request("query.tracker.restore", {table: events}, timeout=WITHIN_S)
                    said["events"] += len(events)
                    for name in ("new", "there", "differing"):
                        said[name] += found[name]
                    different += found["different"]
        return {**said, "different": different}

    return ask


async def _events(bus: Bus, table: str, day: str) -> AsyncIterator[list[Any]]:
    first: int | None = 0
    while first is not None:
        page = await bus.request(
            "query.archiver.events", {"table": table, "day": day, "first": first}, timeout=WITHIN_S
        )
        yield page["events"]
        first = page["next"]
