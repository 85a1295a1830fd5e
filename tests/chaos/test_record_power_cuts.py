"""Power cuts while the record is written: afterwards it is, byte for byte, that of an undisturbed run.

Real NATS, a real Postgres that flushes every commit, the tracker as a process of its own. What the record
must hold is computed beforehand by the pure engine from the same messages.
"""

import asyncio
import contextlib
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
import psycopg
import pytest

from heliograph.common.bus import Bus, Message
from heliograph.common.config import Settings
from heliograph.common.events import BarBatch, Outcome, Reason, Signal, encode, signal_sha256
from heliograph.common.ids import derive_id
from heliograph.common.shards import shard_of
from heliograph.stack import ports
from heliograph.stack.engines import PostgresEngine
from heliograph.stack.process import spawn
from heliograph.stack.state import State
from heliograph.tracker import refusals
from heliograph.tracker.closing import Costs
from heliograph.tracker.database import Database
from heliograph.tracker.engine import OpenSignals
from heliograph.tracker.verification import Verification, VerifyQuery

SHARDS = 4
SYMBOLS = [f"S{n:02}" for n in range(32)]
DAYS = 80
DAY_NS = 86_400 * 10**9
START = 1_500_000_000 // 86_400 * DAY_NS
PUBLISH_EVERY_S = 0.15
DISK_BYTES = 192 << 20
LEFT_BYTES = 1 << 20
FIRST_DAYS = 5
"""Days that are published before the disk is full."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class World(NamedTuple):
    """The messages of each day: bars by shard, and the signals and reasons that follow from them."""

    bars: list[list[tuple[int, BarBatch]]]
    signals: list[list[tuple[int, Signal]]]


class Expected(NamedTuple):
    """What the record holds in the end, by id of the signal."""

    signals: dict[str, str]
    reasons: dict[str, str]
    outcomes: dict[str, str]


def reason_of(signal: Signal) -> Reason:
    return Reason(
        id=derive_id("reason", signal.id),
        cause=signal.id,
        ts=signal.ts,
        signal=signal.id,
        symbol=signal.symbol,
        text=f"The trend of {signal.symbol} is up.",
        provider="template",
        model="template@1",
    )


def make_world() -> World:
    """A random walk of each symbol, and a signal of every symbol every other day."""
    chance = random.Random(7)  # noqa: S311 - the same world every time
    prices = dict.fromkeys(SYMBOLS, 100.0)
    heads = dict.fromkeys(range(SHARDS), "")
    world = World([], [])
    seq = 0
    for day in range(DAYS):
        world.bars.append([])
        world.signals.append([])
        for shard in range(SHARDS):
            seq += 1
            own = [s for s in SYMBOLS if shard_of(s, SHARDS) == shard]
            opens = [prices[s] for s in own]
            closes = [round(p * (1 + chance.uniform(-0.03, 0.03)), 2) for p in opens]
            batch = BarBatch(
                id=derive_id("bars", shard, day),
                ts=START + day * DAY_NS,
                interval="1d",
                symbols=own,
                open=opens,
                high=[max(pair) * 1.004 for pair in zip(opens, closes, strict=True)],
                low=[min(pair) * 0.996 for pair in zip(opens, closes, strict=True)],
                close=closes,
                volume=[1e6] * len(own),
                source="walk",
            )
            world.bars[-1].append((shard, batch))
            prices |= dict(zip(own, closes, strict=True))
            for symbol in own if day < DAYS - 40 else []:
                signal = make_signal(symbol, batch, prices[symbol], seq, heads[shard])
                heads[shard] = signal.sha256
                world.signals[-1].append((shard, signal))
    return world


def make_signal(symbol: str, batch: BarBatch, price: float, seq: int, head: str) -> Signal:
    ts = batch.ts + DAY_NS
    made = Signal(
        id=derive_id("signal", symbol, "BUY", "default@1", "1d", ts),
        cause=batch.id,
        ts=ts,
        symbol=symbol,
        action="BUY",
        entry=price,
        stop=price * 0.97,
        target=price * 1.05,
        confidence=80.0,
        raw_confidence=80.0,
        regime="BULL",
        view="TRENDING",
        votes=[],
        sources=["trend"],
        agreement=1.0,
        expected_r=1.0,
        strategy="default@1",
        interval="1d",
        bar_ts=batch.ts,
        expires=ts + 30 * DAY_NS,
        input_seq=seq,
        sha256="",
        prev_sha256=head,
    )
    return msgspec.structs.replace(made, sha256=signal_sha256(made))


def expect(world: World) -> Expected:
    """The undisturbed run, by the pure engine alone."""
    following, found, seq = OpenSignals(Costs()), Expected({}, {}, {}), 0
    for bars, signals in zip(world.bars, world.signals, strict=True):
        for _, batch in bars:
            seq += 1
            for outcome in following.apply(seq, batch):
                found.outcomes[outcome.signal] = encode(outcome).decode()
        for _, signal in signals:
            following.add(signal)
            found.signals[signal.id] = encode(signal).decode()
            found.reasons[signal.id] = encode(reason_of(signal)).decode()
    assert not following
    return found


class Postgres:
    """The server as `heliograph up` runs it, to be killed and started at will."""

    def __init__(self, folder: Path) -> None:
        self._state = State(folder)
        self._state.create()
        credentials = self._state.credentials()
        self.engine = PostgresEngine(self._state, credentials, ports.choose({"port": 0})["port"])
        self.url = self.engine.environment["POSTGRES_URL"]
        self.owner_url = self.engine.environment.get("POSTGRES_OWNER_URL", self.url)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = await spawn(await self.engine.prepare(), self._state.log("postgres"))
        while True:
            with contextlib.suppress(OSError):
                await self.engine.probe()
                return
            assert self._process.returncode is None, self._state.log("postgres").read_text()[-2000:]
            await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """The power goes: all of its processes at once."""
        if self._process is None or self.down:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(self._process.pid)
            for process in [*top.children(recursive=True), top]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        await self._process.wait()

    @property
    def down(self) -> bool:
        """Whether it has ended."""
        return self._process is None or self._process.returncode is not None

    async def ended(self) -> None:
        """Until it has ended by itself."""
        assert self._process is not None
        await self._process.wait()


class Tracker:
    """The tracker as a process."""

    def __init__(self, settings: Settings, postgres: Postgres, folder: Path) -> None:
        self._path = folder / "tracker.log"
        self._log = self._path.open("ab")
        self._environment = os.environ | {
            "NATS_URL": settings.nats_url,
            **postgres.engine.environment,
            "HELIOGRAPH_SHARDS": str(SHARDS),
            "HELIOGRAPH_HEARTBEAT_S": "0.1",
            "HELIOGRAPH_MEMBER_TTL_S": "1.0",
            "HELIOGRAPH_BATCH_MESSAGES": "16",
        }
        self._process: subprocess.Popen[bytes] | None = None

    async def says(self, text: str) -> bool:
        """Whether its log holds a text."""
        return text in await asyncio.to_thread(self._path.read_text)

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "heliograph.tracker"],
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
        )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        self.kill()
        self._log.close()


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder for the database; on a disk of its own that is soon full, where the test asks for one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    # The server runs as another user when root starts it: the folders above must let that one pass.
    for parent in (folder, *(p for p in folder.parents if "pytest" in p.name)):
        parent.chmod(0o755)
    if getattr(request, "param", None) != "small":
        yield folder
        return
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode:
        pytest.skip("this machine does not allow a tmpfs to be mounted")
    folder.chmod(0o755)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
async def postgres(disk: Path) -> AsyncIterator[Postgres]:
    """A running server."""
    server = Postgres(disk / "state")
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
def tracker(nats_settings: Settings, postgres: Postgres, tmp_path: Path) -> Iterator[Tracker]:
    """A running tracker."""
    process = Tracker(nats_settings, postgres, tmp_path)
    process.start()
    yield process
    process.close()


async def publish(bus: Bus, world: World) -> None:
    """Day after day, as the fetcher, the consensus and the reasoning do."""
    for bars, signals in zip(world.bars, world.signals, strict=True):
        for shard, batch in bars:
            await bus.publish([Message(subject=f"input.bars.{shard}", data=encode(batch), msg_id=batch.id)])
        for shard, signal in signals:
            reason = reason_of(signal)
            await bus.publish(
                [
                    Message(subject=f"signal.{shard}.{signal.symbol}", data=encode(signal), msg_id=signal.id),
                    Message(subject=f"reason.{shard}.{signal.symbol}", data=encode(reason), msg_id=reason.id),
                ]
            )
        await asyncio.sleep(PUBLISH_EVERY_S)


async def begun(url: str) -> bool:
    """Whether the first signals are in the record."""
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=2) as connection:
            cursor = await connection.execute("SELECT count(*) > 0 FROM signals")
            return await cursor.fetchone() == (True,)
    except psycopg.Error:
        return False


async def finished(url: str, expected: Expected) -> bool:
    """Whether every signal has been recorded and has ended."""
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=2) as connection:
            cursor = await connection.execute(
                """SELECT (SELECT count(*) FROM signals), (SELECT count(*) FROM reasons),
                (SELECT count(*) FROM outcomes), (SELECT count(*) FROM unfinished)"""
            )
            counts = await cursor.fetchone()
    except psycopg.Error:
        return False
    size = len(expected.signals)
    return counts == (size, size, size, 0)


async def check(postgres: Postgres, bus: Bus, expected: Expected) -> None:
    """The record is the expected one, verifies whole, and every outcome was published once."""
    database = Database(postgres.owner_url, size=1, overflow=1)
    await database.open()
    for table, key, wanted in (
        ("signals", "id", expected.signals),
        ("reasons", "signal", expected.reasons),
        ("outcomes", "signal", expected.outcomes),
    ):
        rows = await database.fetch(f"SELECT {key}, payload FROM {table}")  # noqa: S608 - our own names
        assert dict(rows) == wanted
    query, rows_seen = VerifyQuery(full=True), 0
    while True:
        page = await Verification(database).page(query)
        assert page.findings == []
        rows_seen += page.rows
        if page.cursor is None:
            break
        query = VerifyQuery(full=True, cursor=page.cursor)
    assert rows_seen == 3 * len(expected.signals)
    await database.close()
    last = await bus.last_seq("OUTCOME")
    published = [
        msgspec.json.decode(m.data, type=Outcome).signal
        async for m in bus.read("OUTCOME", "outcome.>", after=0, upto=last)
    ]
    assert sorted(published) == sorted(expected.outcomes)
    assert await bus.last_seq("DEAD") == 0


Disturb = Callable[[Tracker, Postgres, random.Random], Coroutine[Any, Any, None]]


async def nothing(tracker: Tracker, postgres: Postgres, chance: random.Random) -> None:
    """The undisturbed run."""


async def kill_tracker(tracker: Tracker, postgres: Postgres, chance: random.Random) -> None:
    for _ in range(6):
        await asyncio.sleep(chance.uniform(1.0, 2.5))
        tracker.kill()
        tracker.start()


async def kill_postgres(tracker: Tracker, postgres: Postgres, chance: random.Random) -> None:
    for _ in range(6):
        await asyncio.sleep(chance.uniform(0.8, 2.0))
        await postgres.kill()
        await asyncio.sleep(chance.uniform(0.0, 0.8))
        await postgres.start()


async def kill_both(tracker: Tracker, postgres: Postgres, chance: random.Random) -> None:
    for _ in range(4):
        await asyncio.sleep(chance.uniform(1.0, 2.5))
        tracker.kill()
        await postgres.kill()
        tracker.start()
        await asyncio.sleep(chance.uniform(0.0, 0.8))
        await postgres.start()


@pytest.mark.parametrize("disturb", [nothing, kill_tracker, kill_postgres, kill_both])
@pytest.mark.parametrize("seed", [1, 2])
async def test_the_record_after_power_cuts_is_that_of_an_undisturbed_run(
    seed: int,
    disturb: Disturb,
    bus: Bus,
    postgres: Postgres,
    tracker: Tracker,
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    if disturb is nothing and seed > 1:
        pytest.skip("nothing happens by chance")
    world = make_world()
    expected = expect(world)
    async with asyncio.TaskGroup() as group:
        group.create_task(publish(bus, world))
        await eventually(lambda: begun(postgres.url), 60)
        group.create_task(disturb(tracker, postgres, random.Random(seed)))  # noqa: S311 - repeatable
    await eventually(lambda: finished(postgres.url, expected), 120)
    await check(postgres, bus, expected)


@pytest.mark.parametrize("disk", ["small"], indirect=True)
async def test_the_record_after_a_full_disk_is_that_of_an_undisturbed_run(
    disk: Path,
    bus: Bus,
    postgres: Postgres,
    tracker: Tracker,
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    """The disk fills up in the middle of the writes, and is made free again later."""
    world = make_world()
    expected = expect(world)
    filler = disk / "filler"

    # What comes after it is full is then always more than fits, however slow the machine.
    first, rest = (
        World(world.bars[days], world.signals[days]) for days in (slice(FIRST_DAYS), slice(FIRST_DAYS, None))
    )
    await publish(bus, first)
    await eventually(lambda: begun(postgres.url), 60)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with contextlib.suppress(OSError):
        await asyncio.to_thread(filler.write_bytes, b"\0" * (free - LEFT_BYTES))
    await publish(bus, rest)

    async def out_of_room() -> bool:
        return postgres.down or await tracker.says("No space left on device")

    # Without room the server refuses writes, and the tracker says so, or it ends when its log finds none.
    await eventually(out_of_room, 60)
    assert not await finished(postgres.url, expected)
    filler.unlink()
    await postgres.kill()
    await postgres.start()
    await eventually(lambda: finished(postgres.url, expected), 120)
    await check(postgres, bus, expected)


async def test_refusals_are_counted_exactly_over_power_cuts(postgres: Postgres) -> None:
    """A sequence that numbers are drawn from would go on further after a crash."""
    database = Database(postgres.owner_url, size=1, overflow=1)
    await database.open()
    await database.close()
    for _ in range(3):
        for _ in range(2):
            with (
                psycopg.connect(postgres.owner_url) as connection,
                pytest.raises(psycopg.errors.RestrictViolation),
            ):
                connection.execute("DELETE FROM signals")
        # What was written last reaches the log with the next commit.
        with psycopg.connect(postgres.owner_url) as connection:
            connection.execute("INSERT INTO shard_leases VALUES (1, 1, 1, 'x') ON CONFLICT DO NOTHING")
            connection.execute("UPDATE shard_leases SET epoch = epoch + 1")
        await postgres.kill()
        await postgres.start()
    database = Database(postgres.owner_url, size=1, overflow=1)
    await database.open()
    found = await refusals.collect(database)
    assert [(r.ticket, r.operation, r.relation) for r in found] == [
        (n, "DELETE", "signals") for n in range(1, 7)
    ]
    await database.close()
