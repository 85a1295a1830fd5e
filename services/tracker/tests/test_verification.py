# ruff: noqa: S608 - a tampering is written out
"""A record on the real Postgres that is altered in every way: what verifying it says."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError
from heliograph.common.events import BarBatch, Reason, Signal
from heliograph.common.service import Delivery
from heliograph.tracker import days, leases, record
from heliograph.tracker.checking import Finding
from heliograph.tracker.closing import Costs
from heliograph.tracker.database import Database
from heliograph.tracker.engine import OpenSignals
from heliograph.tracker.rows import outcome_row, reason_row, signal_row
from heliograph.tracker.verification import Cursor, Verification, VerifyPage, VerifyQuery
from heliograph.tracker.writer import Writer

Verify = Callable[..., Awaitable[list[Finding]]]
SIGNALS = 40
SHARDS = 4


def of_shard(made: list[Signal], shard: int) -> list[Signal]:
    return [signal for n, signal in enumerate(made) if n % 2 == shard]


@pytest.fixture
async def written(
    database: Database,
    writer: Writer,
    make_signal: Callable[..., Signal],
    make_bars: Callable[..., BarBatch],
    make_reason: Callable[..., Reason],
    deliver: Callable[..., Delivery],
) -> list[Signal]:
    """Forty signals of two shards in several writes, each with its reason and its outcome."""
    made: list[Signal] = []
    heads = ["", ""]
    for n in range(SIGNALS):
        made.append(make_signal(n, prev_sha256=heads[n % 2]))
        heads[n % 2] = made[-1].sha256
    for shard in (0, 1):
        lease = await leases.take(database, SHARDS, shard, "one")
        own = of_shard(made, shard)
        for start, end in ((0, 1), (1, 18), (18, 20), (18, 20)):
            rows = [signal_row(lease, deliver(s, 10 + n)) for n, s in enumerate(own[start:end], start)]
            rows += [
                reason_row(lease, deliver(make_reason(s), 1 + n)) for n, s in enumerate(own[start:end], start)
            ]
            await writer.write(lease, rows)
        bars = make_bars(SIGNALS, {"A": (101.0, 111.0, 100.0, 108.0)})
        ended = OpenSignals(Costs(), own).apply(99, bars)
        await writer.write(lease, [outcome_row(lease, record.stored_outcome(o, "")) for o in ended])
    return made


@pytest.fixture
def verify(database: Database, monkeypatch: pytest.MonkeyPatch) -> Verify:
    """All findings, page by small page, in any order."""
    monkeypatch.setattr("heliograph.tracker.verification.PAGE_ROWS", 10)
    monkeypatch.setattr("heliograph.tracker.verification.PAGE_BLOCKS", 3)
    monkeypatch.setattr("heliograph.tracker.verification.PAGE_FOREIGN", 2)
    verification = Verification(database)

    async def run(*, full: bool = True) -> list[Finding]:
        query, found, rows = VerifyQuery(full=full), list[Finding](), 0
        while True:
            page = await verification.page(query)
            found += page.findings
            rows += page.rows
            if page.cursor is None:
                assert rows == 0 or rows >= SIGNALS
                return found
            query = VerifyQuery(full=full, cursor=page.cursor)

    return run


def tamper(url: str, *statements: str) -> None:
    """As one who can do everything and knows how to pass the triggers by."""
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            assert connection.execute(statement).rowcount > 0


def named(found: list[Finding]) -> set[tuple[str, str, str]]:
    return {(f.kind, f.record, f.key) for f in found}


@pytest.mark.parametrize("full", [True, False])
async def test_a_record_as_it_was_written_has_no_findings(
    *, full: bool, written: list[Signal], verify: Verify, database: Database
) -> None:
    assert await verify(full=full) == []
    counts = await database.fetch(
        "SELECT record, count(*), sum(cardinality(keys)) FROM ledger GROUP BY 1 ORDER BY 1"
    )
    assert [(name, rows) for name, _, rows in counts] == [
        ("outcomes", SIGNALS),
        ("reasons", SIGNALS),
        ("signals", SIGNALS),
    ]


# One byte of one column of one row: everything that a row of the record holds.
ALTERED = {
    "signals": {
        "payload": "replace(payload, 'BULL', 'BULk')",
        "traceparent": "'00'",
        "entry": "entry + 0.01",
        "regime": "'BEAR'",
        "votes": """'[{"source": "trend", "direction": 1, "confidence": 0.8, "weight": 1.0, "age_ns": 0}]'""",
        "sources": "'{trens}'",
        "sha256": "'b' || substr(sha256, 2)",
        "created": "created + interval '1 microsecond'",
        "shards": "8",
        "shard": "3",
    },
    "reasons": {"payload": "replace(payload, 'up', 'uq')", "text": "text || '!'", "cached": "true"},
    "outcomes": {"payload": "replace(payload, '\"v\":1', '\"v\":2')", "exit": "exit * 2", "input_seq": "98"},
}
CASES = [(table, column, value) for table, columns in ALTERED.items() for column, value in columns.items()]


@pytest.mark.parametrize(("table", "column", "value"), CASES, ids=[f"{t}.{c}" for t, c, _ in CASES])
async def test_one_altered_value_is_named(
    table: str, column: str, value: str, written: list[Signal], verify: Verify, migrated: str
) -> None:
    victim = written[5].id
    key = "id" if table == "signals" else "signal"
    tamper(migrated, f"UPDATE {table} SET {column} = {value} WHERE {key} = '{victim}'")
    found = await verify()
    assert named(await verify(full=False)) == named(found)
    assert named([f for f in found if f.kind != "unchained"]) == {("altered", table, victim)}
    assert any(column in f.detail for f in found)
    chained = {("unchained", "signals", written[7].id)} if column == "sha256" else set()
    assert named([f for f in found if f.kind == "unchained"]) == chained


@pytest.mark.parametrize("table", ["signals", "reasons", "outcomes"])
@pytest.mark.parametrize("place", [0, 20, SIGNALS - 1])
async def test_one_deleted_row_is_named(
    place: int, table: str, written: list[Signal], verify: Verify, migrated: str
) -> None:
    victim = written[place].id
    tamper(migrated, f"DELETE FROM {table} WHERE {'id' if table == 'signals' else 'signal'} = '{victim}'")
    assert named(await verify()) == {("deleted", table, victim)}


async def test_two_reordered_rows_are_named(written: list[Signal], verify: Verify, migrated: str) -> None:
    one, other = written[4].id, written[10].id
    tamper(
        migrated,
        f"""UPDATE signals SET stream_seq =
        (SELECT sum(stream_seq) FROM signals WHERE id IN ('{one}', '{other}')) - stream_seq
        WHERE id IN ('{one}', '{other}')""",
    )
    found = await verify()
    assert named(found) == {("reordered", "signals", one), ("reordered", "signals", other)}
    assert {f.detail for f in found} == {"stream_seq: 15, expected 12", "stream_seq: 12, expected 15"}


async def test_rows_reordered_in_the_ledger_are_named_by_their_block(
    written: list[Signal], verify: Verify, migrated: str
) -> None:
    tamper(
        migrated,
        """UPDATE ledger SET keys = ARRAY[keys[2], keys[1]] || keys[3:], places = ARRAY[places[2], places[1]]
        || places[3:], digests = substr(digests, 33, 32) || substr(digests, 1, 32) || substr(digests, 65)
        WHERE record = 'signals' AND shard = 1 AND number = 2""",
    )
    found = named(await verify())
    assert ("altered", "ledger", "signals/4/1/2") in found
    assert {kind for kind, *_ in found} == {"altered", "unchained"}


async def test_a_deleted_block_and_a_foreign_row_are_named(
    written: list[Signal], verify: Verify, migrated: str
) -> None:
    tamper(migrated, "DELETE FROM ledger WHERE record = 'reasons' AND shard = 0 AND number = 1")
    assert named(await verify()) == {
        ("deleted", "ledger", "reasons/4/0/2"),
        ("foreign", "reasons", written[0].id),
    }


async def test_rows_that_the_tracker_did_not_write_are_named(
    written: list[Signal], verify: Verify, database: Database
) -> None:
    copied = (
        "v, cause, received, symbol, text, provider, model, tokens_in, tokens_out, cost, latency_ns, cached"
    )
    await database.fetch(
        f"""INSERT INTO reasons (signal, id, ts, {copied}, shards, shard, stream_seq, traceparent, payload)
        SELECT n, n, ts, {copied}, shards, shard, stream_seq, traceparent, payload
        FROM reasons, unnest(ARRAY['f1', 'f2', 'f3', 'f4', 'f5']) AS n WHERE signal = %s""",
        (written[0].id,),
    )
    expected = {("foreign", "reasons", f"f{n}") for n in range(1, 6)}
    assert named(await verify()) == named(await verify(full=False)) == expected


async def test_the_root_of_a_day_names_a_day_that_was_rewritten(
    written: list[Signal], verify: Verify, migrated: str, database: Database
) -> None:
    """Who rewrites a block with its chain is found by the day's root alone."""
    tamper(migrated, *(f"UPDATE {t} SET created = created - interval '3 days'" for t in (*ALTERED, "ledger")))
    now = datetime.now(UTC)
    made = await days.close(database, int(now.timestamp()) * NANOSECONDS)
    today = (now - timedelta(minutes=5)).date()
    assert [root.day for root in made] == [today - timedelta(days=n) for n in (3, 2, 1)]
    assert [root.leaves for root in made] == [3 * SIGNALS, 0, 0]
    assert [root.previous for root in made] == [b"", made[0].link, made[1].link]
    assert await days.close(database, int(now.timestamp()) * NANOSECONDS) == []
    assert await verify() == []
    last = "record = 'outcomes' AND shard = 1"
    tamper(
        migrated,
        "UPDATE outcomes SET traceparent = 'x' WHERE shard = 1",
        f"""UPDATE ledger SET digests =
        (SELECT string_agg(row_digest(o.traceparent, o.payload), '' ORDER BY n)
        FROM unnest(keys) WITH ORDINALITY AS k (key, n)
        JOIN outcomes o ON o.signal = k.key) WHERE {last}""",
        f"""UPDATE ledger SET link =
        block_link(record, shards, shard, number, previous, keys, places, digests) WHERE {last}""",
    )
    found = await verify()
    assert named(found) == {("unchained", "day_roots", made[0].day.isoformat())}
    assert found[0].detail.startswith("root: ")
    tamper(migrated, f"DELETE FROM day_roots WHERE day = '{made[1].day}'")
    assert ("unchained", "day_roots", made[2].day.isoformat()) in named(await verify())


async def test_a_sample_finds_what_it_meets(written: list[Signal], database: Database, migrated: str) -> None:
    verification = Verification(database)
    whole = await verification.sample(1000)
    assert (whole.rows, whole.findings) == (3 * SIGNALS, [])
    assert (await verification.sample(1)).blocks == 1
    tamper(migrated, f"UPDATE signals SET regime = 'CHOP' WHERE id = '{written[3].id}'")
    assert named((await verification.sample(1000)).findings) == {("altered", "signals", written[3].id)}


async def test_an_empty_record_is_whole(database: Database, verify: Verify) -> None:
    assert await verify() == []
    assert (await Verification(database).sample(10)) == VerifyPage(cursor=None)
    assert await days.close(database, 10**18) == []


async def test_a_cursor_of_no_table_is_refused(database: Database) -> None:
    with pytest.raises(InputError, match=r"cursor.record: 'pg_class', expected one of"):
        await Verification(database).page(VerifyQuery(cursor=Cursor(stage="foreign", record="pg_class")))
