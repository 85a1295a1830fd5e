"""What a finished replay came to, and whether it all adds up."""

import asyncio
import hashlib
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from heliograph.common.bus import Bus
from heliograph.common.errors import UnavailableError
from heliograph.common.events import DeadLetter
from heliograph.stack.figures import Figures

WITHIN_S = 300.0
"""A keeper that has just died is back by then, and the longest archiving is over."""
ANSWER_S = 30.0
"""A question that was lost with its server or its keeper is asked again after so long."""
PAUSE_S = 0.5
E = TypeVar("E")


class Identified(msgspec.Struct, frozen=True):
    """The part of an event that the summary needs."""

    id: str


class Archived(msgspec.Struct, frozen=True):
    """What the archive holds."""

    objects: int
    rows: int
    bytes: int
    days: int


class Recorded(msgspec.Struct, frozen=True):
    """The tracker's figures, from Postgres."""

    signals: int
    open: int
    reasons: int
    outcomes: int
    due_without_outcome: int


class Stored(msgspec.Struct, frozen=True):
    """The archiver's figures, from ClickHouse."""

    bars: int
    signals: int
    reasons: int
    outcomes: int


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """The same facts as each keeper of them knows them.

    Attributes:
        bars: published by the fetcher.
        signals: ids in SIGNAL; `reasons` and `outcomes` the numbers of messages in those streams.
        dead: messages that a service gave up; bars refused at the edge are `quarantined`.
    """

    bars: int
    signals: list[str]
    reasons: int
    outcomes: int
    dead: int
    quarantined: dict[str, int]
    recorded: Recorded
    stored: Stored
    archived: Archived


async def collect(bus: Bus, figures: Figures) -> Results:
    """Archive what is complete and ask every keeper, again where one was away: asked twice it does no more.

    Raises:
        UnavailableError: one does not answer within five minutes.
    """
    clock = asyncio.get_running_loop()
    end = clock.time() + WITHIN_S
    while True:
        try:
            return await _collect(bus, figures)
        except UnavailableError:
            if clock.time() >= end:
                raise
        await asyncio.sleep(PAUSE_S)


async def _collect(bus: Bus, figures: Figures) -> Results:
    archived = await bus.request("query.archiver.archive", {}, timeout=ANSWER_S)
    stored = await bus.request("query.archiver.counts", {}, timeout=ANSWER_S)
    recorded = await bus.request("query.tracker.stats", {}, timeout=ANSWER_S)
    return Results(
        bars=figures.bars_published,
        signals=[event.id for event in await _events(bus, "SIGNAL", "signal.>", Identified)],
        reasons=len(await _events(bus, "REASON", "reason.>", Identified)),
        outcomes=len(await _events(bus, "OUTCOME", "outcome.>", Identified)),
        dead=sum(not letter.quarantine for letter in await _events(bus, "DEAD", "dead.>", DeadLetter)),
        quarantined=figures.quarantined,
        recorded=msgspec.convert(recorded, Recorded),
        stored=msgspec.convert(stored, Stored),
        archived=msgspec.convert(archived, Archived),
    )


async def _events(bus: Bus, stream: str, subject: str, kind: type[E]) -> list[E]:
    last = await bus.last_seq(stream)
    decoder = msgspec.json.Decoder(kind)
    return [decoder.decode(m.data) async for m in bus.read(stream, subject, after=0, upto=last)]


def sha256_of(ids: Iterable[str]) -> str:
    """SHA-256 (hex) over the sorted ids, joined by line feeds."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def contradictions(results: Results) -> list[str]:
    """Every way in which the keepers disagree; empty when all adds up."""
    signals = len(results.signals)
    laws = (
        ("bars published", results.bars, "bars in ClickHouse", results.stored.bars),
        ("signals in SIGNAL", signals, "distinct signals", len(set(results.signals))),
        ("signals in SIGNAL", signals, "signals in Postgres", results.recorded.signals),
        ("signals in SIGNAL", signals, "signals in ClickHouse", results.stored.signals),
        ("signals in SIGNAL", signals, "reasons in REASON", results.reasons),
        ("signals in SIGNAL", signals, "reasons in Postgres", results.recorded.reasons),
        ("signals in SIGNAL", signals, "reasons in ClickHouse", results.stored.reasons),
        ("outcomes in OUTCOME", results.outcomes, "outcomes in Postgres", results.recorded.outcomes),
        ("outcomes in OUTCOME", results.outcomes, "outcomes in ClickHouse", results.stored.outcomes),
        (
            "open signals",
            results.recorded.open,
            "signals without an outcome",
            signals - results.recorded.outcomes,
        ),
        ("due signals without an outcome", results.recorded.due_without_outcome, "none", 0),
        ("dead letters", results.dead, "none", 0),
    )
    return [f"{left}: {a}, but {right}: {b}" for left, a, right, b in laws if a != b]
