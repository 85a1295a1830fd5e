"""Events of the archive back into a record that has lost them, on the real Postgres."""

from collections.abc import Callable
from typing import Any, Final, LiteralString

import msgspec
import pytest

from heliograph.common.bus import Bus
from heliograph.common.errors import FencedError, InputError
from heliograph.common.events import BarBatch, Outcome, Reason, Signal, encode
from heliograph.common.service import Delivery
from heliograph.common.shards import shard_of
from heliograph.tracker import leases, record
from heliograph.tracker.closing import Costs
from heliograph.tracker.database import Database
from heliograph.tracker.engine import OpenSignals
from heliograph.tracker.restoring import Restored, RestoreQuery, Restoring
from heliograph.tracker.rows import RESTORED, reason_row, signal_row
from heliograph.tracker.service import TrackerService
from heliograph.tracker.verification import Cursor, Verification, VerifyQuery
from heliograph.tracker.writer import Writer

SHARDS = 4
SYMBOLS = ("A", "B", "C", "D", "E")
RECORD: Final = ("signals", "reasons", "outcomes")
ENDED = 4
"""Of the days; the signals of the others are open."""
DAYS = 6


@pytest.fixture
def events(
    make_signal: Callable[..., Signal],
    make_reason: Callable[..., Reason],
    make_bars: Callable[..., BarBatch],
) -> RestoreQuery:
    """Days of signals of all shards with their reasons, most of them ended."""
    heads = dict.fromkeys(range(SHARDS), "")
    signals = []
    for day in range(DAYS):
        for symbol in SYMBOLS:
            shard = shard_of(symbol, SHARDS)
            signals.append(make_signal(day, symbol=symbol, prev_sha256=heads[shard], input_seq=day))
            heads[shard] = signals[-1].sha256
    bars = make_bars(DAYS, dict.fromkeys(SYMBOLS, (101.0, 111.0, 100.0, 108.0)))
    old = [signal for signal in signals if signal.input_seq < ENDED]
    return RestoreQuery(
        signals=signals,
        reasons=[make_reason(signal) for signal in signals],
        outcomes=OpenSignals(Costs(), old).apply(DAYS + 1, bars),
    )


@pytest.fixture
def restoring(database: Database, writer: Writer) -> Restoring:
    return Restoring(database, writer, shards=SHARDS, member="one")


async def findings(database: Database) -> list[Any]:
    found: list[Any] = []
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        page = await Verification(database).page(VerifyQuery(full=True, cursor=cursor))
        found += page.findings
        cursor = page.cursor
    return found


async def payloads(database: Database, table: LiteralString) -> list[str]:
    rows = await database.fetch(f"SELECT payload FROM {table} ORDER BY payload")  # noqa: S608 - our own names
    return [payload for (payload,) in rows]


async def test_what_the_record_has_lost_comes_back_byte_for_byte_and_verifies(
    restoring: Restoring, database: Database, events: RestoreQuery
) -> None:
    total = len(events.signals) + len(events.reasons) + len(events.outcomes)
    assert await restoring.restore(events) == Restored(new=total, there=0, differing=0, different=[])
    for table in RECORD:
        came = sorted(encode(event).decode() for event in getattr(events, table))
        assert await payloads(database, table) == came
    assert await findings(database) == []
    assert await restoring.restore(events) == Restored(new=0, there=total, differing=0, different=[])
    assert await database.fetch("SELECT DISTINCT stream_seq FROM signals") == [(RESTORED,)]


async def test_only_signals_without_an_outcome_are_open_afterwards(
    restoring: Restoring, database: Database, events: RestoreQuery
) -> None:
    await restoring.restore(RestoreQuery(outcomes=events.outcomes))
    await restoring.restore(RestoreQuery(signals=events.signals))
    opened, ended = [], []
    for shard in range(SHARDS):
        of_shard = await record.unfinished(database, SHARDS, shard)
        opened += [found.signal for found in of_shard[0]]
        ended += of_shard[1]
    assert sorted(s.id for s in opened) == sorted(s.id for s in events.signals if s.input_seq >= ENDED)
    assert ended == [], "no outcome is published again"


async def test_rows_that_are_there_stay_and_others_join_their_chain(
    restoring: Restoring,
    database: Database,
    writer: Writer,
    events: RestoreQuery,
    deliver: Callable[..., Delivery],
) -> None:
    newest = [s for s in events.signals if s.input_seq == DAYS - 1]
    for shard in {shard_of(s.symbol, SHARDS) for s in newest}:
        lease = await leases.take(database, SHARDS, shard, "owner")
        own = [s for s in newest if shard_of(s.symbol, SHARDS) == shard]
        await writer.write(
            lease, [signal_row(lease, deliver(s, 100 + n, "a trace")) for n, s in enumerate(own)]
        )
    before = await database.fetch("SELECT * FROM signals ORDER BY id")
    done = await restoring.restore(events)
    assert (done.there, done.different) == (len(newest), [])
    kept = [s.id for s in newest]
    assert await database.fetch("SELECT * FROM signals WHERE id = ANY(%s) ORDER BY id", (kept,)) == before
    assert await findings(database) == []


async def test_an_owner_is_refused_once_and_then_takes_its_shard_back(
    restoring: Restoring,
    database: Database,
    writer: Writer,
    events: RestoreQuery,
    deliver: Callable[..., Delivery],
) -> None:
    shard = shard_of("A", SHARDS)
    owner = await leases.take(database, SHARDS, shard, "owner")
    await restoring.restore(events)
    late = [reason_row(owner, deliver(events.reasons[0], 7))]
    with pytest.raises(FencedError):
        await writer.write(owner, late)
    again = await leases.take(database, SHARDS, shard, "owner")
    assert await writer.write(again, late) == set()


async def test_a_row_that_says_something_else_is_named_and_stays(
    restoring: Restoring, database: Database, events: RestoreQuery
) -> None:
    await restoring.restore(events)
    reason, outcome = events.reasons[3], events.outcomes[2]
    other = RestoreQuery(
        reasons=[msgspec.structs.replace(reason, text="Another story.")],
        outcomes=[msgspec.structs.replace(outcome, received=outcome.ts)],
    )
    done = await restoring.restore(other)
    assert done == Restored(new=0, there=2, differing=1, different=[f"reasons/{reason.signal}"])
    assert encode(reason).decode() in await payloads(database, "reasons")


async def test_a_signal_whose_hash_is_not_its_own_is_refused_by_name(
    restoring: Restoring, events: RestoreQuery
) -> None:
    forged = msgspec.structs.replace(events.signals[0], confidence=99.0)
    with pytest.raises(InputError, match=f"restore: sha256: .*{forged.id}"):
        await restoring.restore(RestoreQuery(signals=[forged]))


async def test_it_is_asked_for_on_the_bus(
    tracker: TrackerService, bus: Bus, database: Database, events: RestoreQuery
) -> None:
    body = msgspec.to_builtins(events)
    done = await bus.request("query.tracker.restore", body, 30)
    assert done["new"] == len(events.signals) + len(events.reasons) + len(events.outcomes)
    outcome: Outcome = events.outcomes[0]
    found = await bus.request("query.tracker.signal", {"id": outcome.signal})
    assert found["outcome"]["id"] == outcome.id
    with pytest.raises(InputError, match=r"query: .*signals"):
        await bus.request("query.tracker.restore", {"signals": [{"id": "x"}]})
