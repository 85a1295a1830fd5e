"""Group commit on the real Postgres: what is stored, what is refused, and for whom."""

import asyncio
from collections.abc import Callable

import psycopg
import pytest
from structlog.testing import capture_logs

from heliograph.common.errors import FencedError, PoisonError, UnavailableError
from heliograph.common.events import Reason, Signal, Vote, encode
from heliograph.common.service import Delivery
from heliograph.tracker import leases, record
from heliograph.tracker import writer as writing
from heliograph.tracker.database import Database
from heliograph.tracker.rows import TABLES, Row, reason_row, signal_row
from heliograph.tracker.verification import Verification, VerifyQuery
from heliograph.tracker.writer import Writer

Deliver = Callable[..., Delivery]
MakeSignal = Callable[..., Signal]


async def test_stores_once_and_tells_what_is_new(
    database: Database, writer: Writer, make_signal: MakeSignal, deliver: Deliver
) -> None:
    lease = await leases.take(database, 4, 1, "one")
    rows = [signal_row(lease, deliver(make_signal(n), n + 1)) for n in range(5)]
    assert await writer.write(lease, rows[:3]) == {row.key for row in rows[:3]}
    assert await writer.write(lease, rows) == {row.key for row in rows[3:]}
    assert await database.fetch("SELECT count(*), count(DISTINCT id) FROM signals") == [(5, 5)]
    assert await database.fetch("SELECT count(*) FROM unfinished") == [(5,)]
    assert await writer.write(lease, []) == set()


async def test_every_field_and_the_payload_come_back(
    database: Database, writer: Writer, make_signal: MakeSignal, deliver: Deliver
) -> None:
    lease = await leases.take(database, 4, 1, "one")
    signal = make_signal(
        symbol="BRK.B",
        entry=100.1,
        raw_confidence=0.1 + 0.2,
        sources=["trend", 'a "quoted", {braced}\\ one'],
        votes=[Vote(source="tab\tand\nline", direction=-1, confidence=1 / 3, weight=0.5, age_ns=7)],
    )
    spaced = encode(signal).replace(b'","', b'" , "')
    delivery = Delivery(event=signal, subject="", data=spaced, seq=9, headers={"traceparent": "00-a-b-01"})
    await writer.write(lease, [signal_row(lease, delivery)])
    ((payload, entry, raw, sources, votes, seq, trace, shards, shard),) = await database.fetch(
        """SELECT payload, entry, raw_confidence, sources, votes, stream_seq, traceparent, shards, shard
        FROM signals"""
    )
    assert payload.encode() == spaced
    assert (entry, raw, sources) == (signal.entry, signal.raw_confidence, signal.sources)
    assert votes == [
        {"source": "tab\tand\nline", "direction": -1, "confidence": 1 / 3, "weight": 0.5, "age_ns": 7}
    ]
    assert (seq, trace, shards, shard) == (9, "00-a-b-01", 4, 1)
    opened, ended = await record.unfinished(database, 4, 1)
    assert [(o.signal, o.traceparent) for o in opened] == [(signal, "00-a-b-01")]
    assert ended == []


async def test_a_signal_without_votes_has_an_empty_list_of_them(
    database: Database, writer: Writer, make_signal: MakeSignal, deliver: Deliver
) -> None:
    lease = await leases.take(database, 4, 1, "one")
    few, many = [make_signal(0, votes=[])], [make_signal(n, votes=[], sources=[]) for n in range(1, 40)]
    for made in (few, many):
        await writer.write(lease, [signal_row(lease, deliver(s, n)) for n, s in enumerate(made)])
    assert await database.fetch("SELECT DISTINCT votes FROM signals") == [([],)]


async def test_rows_of_many_shards_share_transactions(
    database: Database, writer: Writer, make_signal: MakeSignal, deliver: Deliver
) -> None:
    held = [await leases.take(database, 16, shard, "one") for shard in range(16)]
    writes = [
        writer.write(lease, [signal_row(lease, deliver(make_signal(n, symbol=f"S{lease.shard}"), n + 1))])
        for n in range(20)
        for lease in held
    ]
    new = await asyncio.gather(*writes)
    assert sum(map(len, new)) == 320
    assert writer.transactions <= 3
    assert await database.fetch("SELECT count(*) FROM signals") == [(320,)]


async def test_a_slow_write_is_logged_with_its_rows(
    database: Database,
    writer: Writer,
    make_signal: MakeSignal,
    make_reason: Callable[..., Reason],
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lease = await leases.take(database, 4, 1, "one")
    signals = [make_signal(n) for n in range(3)]
    rows = [signal_row(lease, deliver(signal, n)) for n, signal in enumerate(signals)]
    monkeypatch.setattr(writing, "SLOW_S", 1e9)
    with capture_logs() as quick:
        await writer.write(lease, rows[:1])
    monkeypatch.setattr(writing, "SLOW_S", 0.0)
    with capture_logs() as slow:
        await writer.write(lease, [*rows[1:], reason_row(lease, deliver(make_reason(signals[0]), 1))])
    (told,) = (entry for entry in (*quick, *slow) if entry["event"] == "slow write")
    assert (told["rows"], told["tables"]) == (3, {"signals": 2, "reasons": 1})
    assert told["seconds"] == round(told["seconds"], 3)


async def test_a_bad_row_is_named_and_hurts_nobody_else(
    database: Database,
    writer: Writer,
    make_signal: MakeSignal,
    make_reason: Callable[..., Reason],
    deliver: Deliver,
) -> None:
    held = [await leases.take(database, 4, shard, "one") for shard in range(3)]
    bad = make_signal(7, symbol="S1", votes=[Vote(source="\x00", direction=1, confidence=1, weight=1)])

    async def write(shard: int) -> set[str]:
        made = [make_signal(n, symbol=f"S{shard}") for n in range(20)]
        if shard == 1:
            made[7] = bad
        rows = [signal_row(held[shard], deliver(signal, n)) for n, signal in enumerate(made)]
        rows.append(reason_row(held[shard], deliver(make_reason(made[0]), 1)))
        return await writer.write(held[shard], rows)

    found = await asyncio.gather(*map(write, range(3)), return_exceptions=True)
    assert isinstance(found[1], PoisonError)
    assert f"signals: row {bad.id!r} is refused" in str(found[1])
    assert [len(new) for new in found if isinstance(new, set)] == [20, 20]
    counts = await database.fetch("SELECT shard, count(*) FROM signals GROUP BY 1 ORDER BY 1")
    assert counts == [(0, 20), (1, 19), (2, 20)]
    assert await database.fetch("SELECT count(*) FROM reasons") == [(3,)]


async def test_a_time_before_1970_is_poison(
    database: Database, make_signal: MakeSignal, deliver: Deliver
) -> None:
    lease = await leases.take(database, 4, 1, "one")
    with pytest.raises(PoisonError, match="ts: -5 of signal"):
        signal_row(lease, deliver(make_signal(ts=-5), 1))


async def test_bytes_that_are_not_text_are_poison(
    database: Database, make_signal: MakeSignal, deliver: Deliver
) -> None:
    lease = await leases.take(database, 4, 1, "one")
    delivery = Delivery(event=make_signal(), subject="", data=b'{"x": "\xff"}', seq=1, headers={})
    with pytest.raises(PoisonError, match="expected UTF-8"):
        signal_row(lease, delivery)


async def test_a_fenced_writer_is_refused_and_others_are_not(
    database: Database, writer: Writer, make_signal: MakeSignal, deliver: Deliver
) -> None:
    old = await leases.take(database, 4, 1, "one")
    other = await leases.take(database, 4, 2, "one")
    new = await leases.take(database, 4, 1, "two")
    assert (old.epoch, new.epoch) == (1, 2)

    async def write(lease: leases.Lease) -> set[str]:
        return await writer.write(
            lease, [signal_row(lease, deliver(make_signal(symbol=f"S{lease.shard}"), 1))]
        )

    refused, stored = await asyncio.gather(write(old), write(other), return_exceptions=True)
    assert isinstance(refused, FencedError)
    assert isinstance(stored, set)
    assert await database.fetch("SELECT shard FROM signals") == [(2,)]
    with pytest.raises(FencedError, match="shard 1: epoch 1"):
        await writer.check(old)
    await writer.check(new)
    assert len(await write(new)) == 1


async def test_a_new_epoch_waits_for_the_write_under_way(
    database: Database, make_signal: MakeSignal, deliver: Deliver
) -> None:
    old = await leases.take(database, 4, 1, "one")
    async with database.connection() as connection:
        async with connection.transaction():
            await leases.hold(connection, [old])
            taking = asyncio.create_task(leases.take(database, 4, 1, "two"))
            done, _ = await asyncio.wait([taking], timeout=0.2)
            assert not done
        assert (await taking).epoch == 2
        with pytest.raises(psycopg.DatabaseError, match="shard 1: the lease is not the newest"):
            await leases.hold(connection, [old])
        assert await leases.newest(connection, [old]) == set()


async def test_writes_fail_as_unavailable_when_closed(
    database: Database, make_signal: MakeSignal, deliver: Deliver
) -> None:
    lease = await leases.take(database, 4, 1, "one")
    idle = Writer(database, 1000)
    writing = asyncio.create_task(idle.write(lease, [signal_row(lease, deliver(make_signal(), 1))]))
    await asyncio.sleep(0)
    await idle.close()
    with pytest.raises(UnavailableError, match="closed"):
        await writing


async def test_more_rows_than_the_limit_are_written_in_turns(
    database: Database, make_signal: MakeSignal, deliver: Deliver
) -> None:
    lease = await leases.take(database, 4, 1, "one")
    small = Writer(database, 10)
    small.start()
    rows: list[Row] = [signal_row(lease, deliver(make_signal(n), n)) for n in range(36)]
    new = await asyncio.gather(*(small.write(lease, rows[n : n + 4]) for n in range(0, 36, 4)))
    assert [len(n) for n in new] == [4] * 9
    assert small.transactions == 5
    await small.close()


async def test_rows_that_come_again_among_new_ones_are_found(
    database: Database,
    writer: Writer,
    make_signal: MakeSignal,
    make_reason: Callable[..., Reason],
    deliver: Deliver,
) -> None:
    """By COPY, which is refused as a whole where a row is there; then by COPY once more."""
    lease = await leases.take(database, 4, 1, "one")
    made = [make_signal(0)]
    for number in range(1, 60):
        made.append(make_signal(number, prev_sha256=made[-1].sha256))
    rows = [signal_row(lease, deliver(s, n)) for n, s in enumerate(made)]
    rows += [reason_row(lease, deliver(make_reason(s), n)) for n, s in enumerate(made)]
    assert len(await writer.write(lease, rows[:20])) == 20
    assert await writer.write(lease, rows[10:40]) == {row.key for row in rows[20:40]}
    assert await writer.write(lease, rows[30:50]) == {row.key for row in rows[40:50]}
    assert await writer.write(lease, rows[50:80]) == {row.key for row in rows[50:80]}
    assert await writer.write(lease, rows[80:]) == {row.key for row in rows[80:]}
    counts = "SELECT (SELECT count(*) FROM signals), (SELECT count(*) FROM reasons)"
    assert await database.fetch(counts) == [(60, 60)]
    page = await Verification(database).page(VerifyQuery(full=True))
    assert (page.rows, page.findings) == (120, [])


async def test_a_number_that_does_not_fit_its_column_is_named(
    database: Database, writer: Writer, make_signal: MakeSignal, deliver: Deliver
) -> None:
    lease = await leases.take(database, 4, 1, "one")
    made = [
        make_signal(0, v=1 << 40),
        *(make_signal(n) for n in range(1, 9)),
        make_signal(9, received=1 << 70),
    ]
    rows = [signal_row(lease, deliver(s, n)) for n, s in enumerate(made)]
    with pytest.raises(PoisonError, match="signals: row"):
        await writer.write(lease, rows)
    assert await database.fetch("SELECT count(*), max(v) FROM signals") == [(8, 1)]


async def test_a_fenced_writer_of_many_rows_is_refused_and_others_are_not(
    database: Database, writer: Writer, make_signal: MakeSignal, deliver: Deliver
) -> None:
    held = [await leases.take(database, 4, shard, "one") for shard in (1, 2)]
    await leases.take(database, 4, 1, "two")
    writes = [
        writer.write(
            lease,
            [signal_row(lease, deliver(make_signal(n, symbol=f"S{lease.shard}"), n + 1)) for n in range(9)],
        )
        for lease in held
    ]
    refused, stored = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(refused, FencedError)
    assert isinstance(stored, set)
    assert await database.fetch("SELECT shard, count(*) FROM signals GROUP BY 1") == [(2, 9)]


async def test_two_transactions_at_once_keep_each_shard_in_order(
    database: Database, make_signal: MakeSignal, deliver: Deliver
) -> None:
    held = [await leases.take(database, 4, shard, "one") for shard in range(4)]
    small = Writer(database, 16)
    small.start()

    async def shard(lease: leases.Lease) -> None:
        made = [make_signal(n, symbol=f"S{lease.shard}") for n in range(48)]
        rows = [signal_row(lease, deliver(s, n)) for n, s in enumerate(made)]
        await asyncio.gather(*(small.write(lease, rows[n : n + 4]) for n in range(0, 48, 4)))

    await asyncio.gather(*map(shard, held))
    await small.close()
    blocks = await database.fetch("SELECT shard, places FROM ledger ORDER BY shard, number")
    for lease in held:
        assert [p for at, places in blocks if at == lease.shard for p in places] == list(range(48))


async def test_the_types_of_copied_columns_are_those_of_the_tables(database: Database) -> None:
    for table in TABLES.values():
        rows = await database.fetch(
            """SELECT n.name, a.atttypid = n.type::regtype
            FROM unnest(%s::text[], %s::text[]) AS n (name, type)
            LEFT JOIN pg_attribute a ON a.attrelid = %s::regclass AND a.attname = n.name""",
            (list(table.columns), list(table.types), table.name),
        )
        assert [name for name, same in rows if not same] == []
