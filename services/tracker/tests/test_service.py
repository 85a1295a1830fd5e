"""The service whole: its requests, the worker around a shard, and Postgres going away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import psycopg
import pytest

from heliograph.common.bus import Bus, Message
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import load
from heliograph.common.errors import ConfigError, HeliographError, InvariantError, UnavailableError
from heliograph.common.events import BarBatch, DeadLetter, Event, Outcome, Reason, Signal, Vote, encode
from heliograph.common.pace import Pace
from heliograph.common.positions import Positions
from heliograph.common.precedence import Precedence
from heliograph.common.service import Context, Delivery
from heliograph.common.shards import shard_of
from heliograph.common.worker import DeadLetters, ShardWorker
from heliograph.tracker import leases, schema
from heliograph.tracker.database import Database
from heliograph.tracker.rows import signal_row
from heliograph.tracker.service import TrackerService
from heliograph.tracker.settings import TrackerSettings
from heliograph.tracker.writer import Writer

SHARD = shard_of("A", 4)
QUIET = (100.0, 102.0, 98.0, 101.0)
WIN = (101.0, 111.0, 100.0, 108.0)
LOSS = (101.0, 103.0, 94.0, 96.0)

MakeSignal = Callable[..., Signal]
MakeBars = Callable[..., BarBatch]
Eventually = Callable[..., Awaitable[Any]]
BUSY_S = 60.0
"""How long the tests that go through the worker may take on a machine with other work to do."""


def as_json(event: Event) -> Any:
    return msgspec.json.decode(encode(event))


async def test_a_signal_is_given_back_with_its_reason_and_its_outcome(
    tracker: TrackerService, bus: Bus, ended_signal: Signal, make_reason: Callable[..., Reason]
) -> None:
    found = await bus.request("query.tracker.signal", {"id": ended_signal.id})
    reason, outcome = found.pop("reason"), found.pop("outcome")
    assert found == as_json(ended_signal)
    assert reason == as_json(make_reason(ended_signal))
    assert (outcome["kind"], outcome["signal"], outcome["result"]) == ("outcome", ended_signal.id, "win")
    page = await bus.request("query.tracker.signals", {})
    assert page == {"signals": [found | {"reason": reason, "outcome": outcome}]}


async def test_signals_come_newest_first_and_page_by_page(
    tracker: TrackerService,
    bus: Bus,
    database: Database,
    writer: Writer,
    make_signal: MakeSignal,
    deliver: Callable[..., Delivery],
) -> None:
    """Forty days of two symbols; a third has many signals of the same time."""
    lease = await leases.take(database, 4, 1, "one")
    made = [make_signal(n, symbol=s) for n in range(40) for s in ("A", "B")]
    made += [make_signal(n, symbol=f"C{n}", ts=made[0].ts) for n in range(30)]
    await writer.write(lease, [signal_row(lease, deliver(s, n)) for n, s in enumerate(made)])
    newest = sorted(made, key=lambda s: (s.ts, s.id), reverse=True)

    async def page(**body: object) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await bus.request("query.tracker.signals", body))["signals"]
        return found

    assert [s["id"] for s in await page()] == [s.id for s in newest[:10]]
    only = [s.id for s in newest if s.symbol == "B"]
    assert [s["id"] for s in await page(symbol="B", limit=100)] == only
    assert [s["id"] for s in await page(limit=3, before=newest[7].ts, symbol="A")] == [
        s.id for s in newest if s.symbol == "A" and s.ts < newest[7].ts
    ][:3]
    seen: list[dict[str, Any]] = await page(limit=7)
    while more := await page(limit=7, before=seen[-1]["ts"], before_id=seen[-1]["id"]):
        seen += more
    assert [s["id"] for s in seen] == [s.id for s in newest]
    assert all(s["reason"] is None and s["outcome"] is None for s in seen)


async def test_the_record_is_counted(
    tracker: TrackerService,
    bus: Bus,
    database: Database,
    writer: Writer,
    ended_signal: Signal,
    make_signal: MakeSignal,
    deliver: Callable[..., Delivery],
) -> None:
    lease = await leases.take(database, 4, 1, "one")
    made = [make_signal(1), make_signal(-40), make_signal(-40, symbol="B")]
    await writer.write(lease, [signal_row(lease, deliver(s, n)) for n, s in enumerate(made)])
    assert await bus.request("query.tracker.stats", {}) == {
        "signals": 4,
        "open": 3,
        "wins": 1,
        "losses": 0,
        "expired": 0,
        "win_rate": 1.0,
        "reasons": 1,
        "outcomes": 1,
        "due_without_outcome": 1,
    }


async def test_an_empty_record_has_no_win_rate(tracker: TrackerService, bus: Bus) -> None:
    stats = await bus.request("query.tracker.stats", {})
    assert stats.pop("win_rate") is None
    assert set(stats.values()) == {0}


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("signal", {"id": "no such"}, "id: 'no such', expected the id of a signal"),
        ("signal", {}, "missing required field `id`"),
        ("signal", {"id": ""}, r"length >= 1 - at `\$.id`"),
        ("signals", {"limit": 0}, r"`int` >= 1 - at `\$.limit`.*\"limit\": 0"),
        ("signals", {"limit": 101}, r"`int` <= 100 - at `\$.limit`"),
        ("signals", {"limit": "x"}, r"Expected `int`, got `str` - at `\$.limit`"),
        ("signals", {"before": -1}, r"`int` >= 0 - at `\$.before`"),
        ("signals", {"before": 2**63}, r"<= 9223372036854775807 - at `\$.before`"),
        ("signals", {"symbol": "a\x00"}, "symbol: "),
    ],
)
async def test_a_bad_request_is_refused_by_name(
    name: str, body: dict[str, object], expected: str, tracker: TrackerService, bus: Bus
) -> None:
    with pytest.raises(HeliographError, match=expected):
        await bus.request(f"query.tracker.{name}", body)


@pytest.fixture
async def working(tracker: TrackerService, bus: Bus) -> AsyncIterator[ShardWorker]:
    """The worker that the shell runs, for the shard of A."""
    dead, paces = DeadLetters(bus, "tracker", 5), {"consensus": Pace(bus, "consensus")}
    worker = ShardWorker(bus, Positions(bus), tracker, SHARD, dead, 16, lambda: None, Precedence(), paces)
    task = asyncio.create_task(worker.run())
    yield worker
    worker.stop()
    await task


async def put(bus: Bus, subject: str, event: Event) -> int:
    message = Message(subject=subject, data=encode(event), msg_id=event.id)
    await bus.publish([message])
    stored = await bus.last({"i": "INPUT", "s": "SIGNAL", "r": "REASON"}[subject[0]], subject)
    assert stored is not None
    return stored.seq


async def test_in_the_worker_every_signal_gets_its_outcome_and_a_bad_one_goes_to_dead(
    working: ShardWorker,
    bus: Bus,
    database: Database,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    outcomes_on: Callable[[], Awaitable[list[Outcome]]],
    eventually: Eventually,
) -> None:
    seqs = [await put(bus, f"input.bars.{SHARD}", make_bars(n, {"A": QUIET})) for n in range(40)]
    made = [make_signal(n, input_seq=seqs[n]) for n in range(20)]
    made[11] = make_signal(11, votes=[Vote(source="\x00", direction=1, confidence=1.0, weight=1.0)])
    for signal in made:
        await put(bus, f"signal.{SHARD}.A", signal)
    await put(bus, f"input.bars.{SHARD}", make_bars(40, {"A": LOSS}))
    await eventually(lambda: all_ended(database, 19), BUSY_S)
    found = await outcomes_on()
    assert len({o.signal for o in found}) == len(found) == 19
    assert {o.signal: (o.result, o.bars) for o in found} == {
        s.id: ("expired", 29) if n < 11 else ("loss", 40 - n) for n, s in enumerate(made) if n != 11
    }
    (dead,) = [m async for m in bus.read("DEAD", "dead.>", after=0, upto=10)]
    letter = msgspec.json.decode(dead.data, type=DeadLetter)
    assert f"row {made[11].id!r} is refused" in letter.reason
    assert letter.payload == encode(made[11])


async def all_ended(database: Database, count: int) -> bool:
    return await database.fetch("SELECT count(*) FROM outcomes") == [(count,)] and await database.fetch(
        "SELECT count(*) FROM unfinished"
    ) == [(0,)]


async def test_a_restart_of_postgres_is_survived(
    working: ShardWorker,
    tracker: TrackerService,
    postgres: Any,
    bus: Bus,
    database: Database,
    make_signal: MakeSignal,
    make_bars: MakeBars,
    outcomes_on: Callable[[], Awaitable[list[Outcome]]],
    eventually: Eventually,
) -> None:
    made = [make_signal(n) for n in range(6)]
    for signal in made[:3]:
        await put(bus, f"signal.{SHARD}.A", signal)
    await eventually(lambda: stored(database, 3), BUSY_S)
    await asyncio.to_thread(postgres.stop)
    for signal in made[3:]:
        await put(bus, f"signal.{SHARD}.A", signal)
    await put(bus, f"input.bars.{SHARD}", make_bars(6, {"A": WIN}))
    assert "postgres" in await tracker.problems()
    await asyncio.to_thread(postgres.start)
    await eventually(lambda: all_ended_or_away(database, 6), BUSY_S)
    assert {o.signal for o in await outcomes_on()} == {s.id for s in made}
    assert await tracker.problems() == {}


async def stored(database: Database, count: int) -> bool:
    return await database.fetch("SELECT count(*) FROM signals") == [(count,)]


async def all_ended_or_away(database: Database, count: int) -> bool:
    try:
        return await all_ended(database, count)
    except UnavailableError:
        return False


async def test_a_start_waits_for_postgres(postgres: Any, empty_database: str, eventually: Eventually) -> None:
    await asyncio.to_thread(postgres.stop)
    database = Database(empty_database, size=1, overflow=1)
    opening = asyncio.create_task(database.open())
    done, _ = await asyncio.wait([opening], timeout=0.5)
    assert not done
    await asyncio.to_thread(postgres.start)
    await opening
    assert await database.fetch("SELECT count(*) FROM signals") == [(0,)]
    await database.close()
    assert schema.migrate(empty_database) == 0


async def test_an_idle_connection_that_the_server_dropped_is_replaced(
    database: Database, postgres_url: str
) -> None:
    await database.fetch("SELECT 1")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'heliograph-tracker' AND datname = current_database()"
        )
    assert await database.fetch("SELECT 1") == [(1,)]


async def test_a_statement_that_takes_too_long_is_unavailable(database: Database) -> None:
    async def sleep() -> None:
        async with database.connection() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 50")
            await connection.execute("SELECT pg_sleep(5)")

    with pytest.raises(UnavailableError, match="QueryCanceled"):
        await sleep()


async def test_sessions_have_their_limits(database: Database) -> None:
    rows = await database.fetch(
        "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')"
    )
    assert rows == [("30s", "1min")]


async def test_status_counts_open_signals(
    working: ShardWorker,
    tracker: TrackerService,
    bus: Bus,
    make_signal: MakeSignal,
    eventually: Eventually,
) -> None:
    await put(bus, f"signal.{SHARD}.A", make_signal())

    async def one_open() -> bool:
        return bool((await tracker.status())["open"] == 1)

    await eventually(one_open)
    status = await tracker.status()
    assert status["postgres"].split(".")[0].isdigit()
    assert status["shards"][str(SHARD)]["open"] == 1
    assert status["rows"] == 1


async def test_it_must_be_started_first(bus: Bus, nats_settings: Any) -> None:
    service = TrackerService()
    assert await service.problems() == {"postgres": "not yet connected"}
    with pytest.raises(InvariantError, match="before it was started"):
        service.processor(0)
    context = Context(name="tracker", member="one", settings=nats_settings, bus=bus, clock=SYSTEM_CLOCK)
    with pytest.raises(InvariantError, match="expected TrackerSettings"):
        await service.start(context)
    await service.stop()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("POSTGRES_URL", "mysql://x", "POSTGRES_URL: .*expected postgresql://"),
        (
            "POSTGRES_URL",
            "postgresql://x?s3cret",
            "POSTGRES_URL: ((?!s3cret).)*expected postgresql://[^;]*encoded$",
        ),
        ("POSTGRES_READ_URL", "host=replica", "POSTGRES_READ_URL: .*expected postgresql://"),
        ("HELIOGRAPH_POSTGRES_POOL", "0", "postgres_pool: '0'.*greater than or equal to 1"),
        ("HELIOGRAPH_COMMISSION_PERCENT", "-1", "commission_percent: '-1'.*greater than or equal to 0"),
    ],
)
def test_bad_settings_are_named(key: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(key, value)
    with pytest.raises(ConfigError, match=expected):
        load(TrackerSettings)
