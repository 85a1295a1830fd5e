"""The users of NATS on a real server: each may do its own work, and no more; a refusal is loud."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.js import api

from heliograph.common.bus import Bus
from heliograph.common.calibration_bucket import CalibrationBucket
from heliograph.common.checkpoint import Checkpoints
from heliograph.common.config import Settings
from heliograph.common.errors import ConfigError, UnavailableError
from heliograph.common.members import Membership
from heliograph.common.permissions import ROLES, SUBSCRIBER, USERS, overlap, permissions
from heliograph.common.permissions_file import users_block
from heliograph.common.positions import Position, Positions
from heliograph.common.refusals import REFUSED
from heliograph.common.shell import Shell

Connect = Callable[[str], Awaitable[Bus]]
Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
SHARDS = 4
STRANGER = (
    '{user: stranger, password: "x", permissions: {publish: ["none"], subscribe: ["_INBOX_stranger.>"]}}'
)

MAY_WRITE = {
    "input.bars.0": {"fetcher"},
    "input.votes.0": {"fetcher", "reasoning"},
    "input.tick.0": {"fetcher", "reasoning"},
    "request.0": {"consensus"},
    "signal.0.AAPL": {"consensus"},
    "reason.0.AAPL": {"reasoning"},
    "analysis.run.buffett": {"reasoning"},
    "outcome.0.AAPL": {"tracker"},
    "alert.spend": {"gateway"},
    "analyze": {"gateway"},
    "query.tracker.stats": {"gateway"},
    "query.archiver.archive": {"gateway"},
    "query.archiver.bars": {"gateway", "tracker"},
    "query.reasoning.spend": {"gateway"},
    "$KV.calibrations.x": {"tracker"},
    "$O.checkpoints.M.x": {"consensus"},
    **{f"span.{service}": {service} for service in ROLES},
    **{f"dead.{service}.0": {service} for service in ROLES},
    **{f"$KV.{b}.{service}.0": {service} for b in ("members", "leases", "positions") for service in ROLES},
    "$JS.ACK.SIGNAL.tracker-0-signals.1.1.1.1.1": {"tracker"},
    "$JS.API.CONSUMER.RESET.SIGNAL.tracker-0-signals": {"tracker"},
    "$JS.API.CONSUMER.CREATE.SIGNAL.tracker-0-signals": {"tracker"},
    "$JS.API.CONSUMER.MSG.NEXT.INPUT.consensus-3-bars": {"consensus"},
    "$JS.API.CONSUMER.MSG.NEXT.INPUT.consensus-4-bars": set[str](),
    "$JS.API.CONSUMER.CREATE.SIGNAL": set[str](),
    "$JS.API.CONSUMER.CREATE.SIGNAL.mine.signal.>": {SUBSCRIBER},
    "$JS.API.DIRECT.GET.KV_calibrations": {"consensus", "tracker"},
    "$JS.API.DIRECT.GET.KV_positions.$KV.positions.tracker.0-bars": {"tracker"},
    "$JS.API.DIRECT.GET.KV_positions": set[str](),
    "$JS.API.DIRECT.GET.OBJ_checkpoints": {"consensus"},
    "$JS.API.STREAM.PURGE.OBJ_checkpoints": {"consensus"},
    "$JS.API.STREAM.PURGE.SIGNAL": set[str](),
    "$JS.API.STREAM.DELETE.SIGNAL": set[str](),
    "$JS.API.STREAM.UPDATE.SIGNAL": set[str](),
    "$JS.API.STREAM.MSG.DELETE.SIGNAL": set[str](),
    "$JS.API.STREAM.CREATE.OTHER": set[str](),
}
"""Who may publish what, as the design has it, written down here once more; the operator may do everything."""
MAY_HEAR = {
    "signal.>": {"gateway", SUBSCRIBER},
    "outcome.>": {"gateway", SUBSCRIBER},
    "input.>": set[str](),
    "query.tracker.stats": {"tracker"},
    "query.archiver.bars": {"archiver"},
    "analyze": {"reasoning"},
    "$KV.positions.>": set[str](),
    ">": set[str](),
    **{f"_INBOX_{user}.>": {user} for user in USERS},
    "_INBOX.>": {SUBSCRIBER},
    **{f"status.{service}": {service} for service in ROLES},
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server with the users of the table, and one who may do nothing."""
    folder = tmp_path_factory.mktemp("nats")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    users = users_block({user: f'"of {user}"' for user in USERS}, SHARDS)
    users = users.replace("users: [\n", f"users: [\n    {STRANGER}\n")
    file = folder / "nats.conf"
    file.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}" }}\n{users}')
    binary = Path(sys.executable).with_name("nats-server")
    process = subprocess.Popen([binary, "-c", file, "-l", folder / "log"])
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            break
        except OSError:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
    yield f"nats://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


@pytest.fixture
async def connect(address: str) -> AsyncIterator[Connect]:
    """Connect as a user."""
    made: list[Bus] = []

    async def as_user(user: str) -> Bus:
        password = "x" if user == "stranger" else f"of {user}"
        settings = Settings(nats_url=address, nats_user=user, nats_password=password, shards=SHARDS)
        made.append(await Bus.connect(settings, user))
        return made[-1]

    yield as_user
    for bus in made:
        await bus.close()


async def refused(bus: Bus, subjects: list[str], *, listening: bool = False) -> set[str]:
    """Which of these a user may not publish to, or not subscribe to."""
    for subject in subjects:
        if listening:
            await bus.client.subscribe(subject)
        else:
            await bus.client.publish(subject, b"", reply=bus.client.new_inbox())
    await bus.settled()
    known = bus.refusals._subscribed if listening else bus.refusals._published
    return {subject for subject in subjects if subject.lower() in known}


@pytest.mark.parametrize("user", [*ROLES, SUBSCRIBER])
async def test_each_user_may_do_what_is_its_own_and_nothing_else(connect: Connect, user: str) -> None:
    bus = await connect(user)
    for table, listening in ((MAY_WRITE, False), (MAY_HEAR, True)):
        expected = {subject for subject, users in table.items() if user not in users}
        assert await refused(bus, list(table), listening=listening) == expected


async def test_the_operator_may_do_everything(connect: Connect) -> None:
    bus = await connect("operator")
    assert await refused(bus, list(MAY_WRITE)) == set()
    assert await refused(bus, list(MAY_HEAR), listening=True) == set()


def test_every_service_of_the_design_has_a_user() -> None:
    services = Path(__file__).resolve().parents[3] / "services"
    assert set(ROLES) == {path.parent.name for path in services.glob("*/pyproject.toml")}


async def test_the_platform_works_under_a_services_own_user(connect: Connect) -> None:
    """Streams, heartbeats, leases, positions, checkpoints, calibrations: who comes first makes them."""
    bus, tracker = await connect("consensus"), await connect("tracker")
    await bus.ensure_streams()
    members = Membership(bus, "consensus", "one", 5)
    view = await members.beat()
    assert await members.take(0, view)
    await members.release(0)
    await members.leave()
    positions = Positions(bus)
    positions.note("consensus-0-bars", Position(7, "then"))
    await positions.keep()
    assert await positions.load("consensus-0-bars", "then") == 7
    for data in (b"first" * 90_000, b"second" * 90_000):  # in several chunks, which are purged
        checkpoints = Checkpoints(bus, "consensus")
        await checkpoints.save(0, 3, data)
        assert await checkpoints.load(0) == (3, data)
    assert await CalibrationBucket(tracker).newer() == []
    assert bus.refusals.problem() == tracker.refusals.problem() == ""


async def test_a_subscriber_reads_and_cannot_touch_the_readers_of_the_platform(
    connect: Connect, eventually: Eventually
) -> None:
    operator, subscriber = await connect("operator"), await connect(SUBSCRIBER)
    await operator.ensure_streams()
    durable = api.ConsumerConfig(durable_name="tracker-0-signals", ack_policy=api.AckPolicy.ALL)
    await operator.js.add_consumer("SIGNAL", durable)
    await operator.js.publish("signal.0.AAPL", b"one")
    named = api.ConsumerConfig(name="mine")
    reading = await subscriber.js.subscribe("signal.>", ordered_consumer=True, config=named)
    assert (await reading.next_msg(15)).data == b"one"
    request = {"stream_name": "SIGNAL", "config": {"name": "tracker-0-signals", "ack_policy": "all"}}
    for subject in ("$JS.API.CONSUMER.CREATE.SIGNAL", "$JS.API.CONSUMER.CREATE.SIGNAL.tracker-0-signals"):
        config = {**request["config"], "filter_subject": "signal.9.>"}  # type: ignore[dict-item]
        await subscriber.client.publish(
            subject, json.dumps({**request, "config": config}).encode(), reply=subscriber.client.new_inbox()
        )
    # The name in the body of a named request does not count, the one in its subject does.
    other = json.dumps(request).encode()
    await subscriber.client.request("$JS.API.CONSUMER.CREATE.SIGNAL.other", other, 15)
    for verb in ("DELETE", "PURGE", "UPDATE"):
        await subscriber.client.publish(f"$JS.API.STREAM.{verb}.SIGNAL", b"", reply="_INBOX.x")
    await subscriber.settled()
    found = await operator.js.consumer_info("SIGNAL", "tracker-0-signals")
    assert found.config.filter_subject is None
    assert (await operator.js.stream_info("SIGNAL")).state.messages == 1


async def test_a_stored_message_that_is_delivered_as_a_request_is_none(connect: Connect) -> None:
    """A consumer can deliver to any subject: the copies of signals that come so are not answered."""
    operator, tracker, subscriber = (
        await connect("operator"),
        await connect("tracker"),
        await connect(SUBSCRIBER),
    )
    await operator.ensure_streams()
    asked: list[bytes] = []

    async def answer(data: bytes) -> bytes:
        asked.append(data)
        return b"{}"

    await tracker.respond("query.tracker.stats", answer)
    await tracker.settled()
    await operator.js.publish("signal.0.MSFT", b"stored")
    delivering = api.ConsumerConfig(name="aimed", deliver_subject="query.tracker.stats")
    await subscriber.js.add_consumer("SIGNAL", delivering)
    assert await operator.request("query.tracker.stats", {"n": 1}, 15) == {}
    assert asked == [b'{"n": 1}']


async def test_a_refusal_is_loud(connect: Connect, eventually: Eventually) -> None:
    bus = await connect("archiver")
    await bus.client.publish("signal.0.AAPL", b"{}")
    await bus.client.subscribe("_INBOX_tracker.>")
    await bus.settled()
    service: Any = Silent()
    shell = Shell(service, bus.settings)
    shell._bus = bus
    shell._started = True
    (problem,) = (await shell._ready()).items()
    assert problem[0] == REFUSED
    assert "'archiver' may not publish to signal.0.aapl; nor subscribe to _inbox_tracker.>" in problem[1]
    with pytest.raises(UnavailableError, match=r"may not publish to query\.tracker\.stats"):
        await bus.request("query.tracker.stats", {}, 0.5)


class Silent:
    """A service without problems of its own."""

    name = "archiver"
    sharded = False
    sources = ()

    async def problems(self) -> dict[str, str]:
        return {}


async def test_a_user_without_rights_is_told_so_at_the_start(connect: Connect) -> None:
    bus = await connect("stranger")
    bus.js = bus.client.jetstream(timeout=0.3)  # it is tried again until the refusal has come
    with pytest.raises(
        ConfigError, match=r"nats_user: the user 'stranger' may not publish to .*stream\.info"
    ):
        await bus.ensure_streams()


async def test_a_wrong_password_is_refused_at_once(address: str) -> None:
    settings = Settings(nats_url=address, nats_user="tracker", nats_password="guessed")
    with pytest.raises(ConfigError, match="nats_user: 'tracker' is refused"):
        await Bus.connect(settings, "test")


@pytest.mark.parametrize(
    ("left", "right", "meet"),
    [
        ("query.tracker.*", "query.tracker.stats", True),
        ("query.*.*", "query.tracker.stats", True),
        ("signal.>", "signal.1.A", True),
        ("query.tracker.*", "query.archiver.bars", False),
        ("status.all", "status.all.more", False),
        (">", "x", True),
    ],
)
def test_patterns_meet(left: str, right: str, *, meet: bool) -> None:
    assert overlap(left, right) is overlap(right, left) is meet


def test_an_unknown_user_is_an_error() -> None:
    with pytest.raises(KeyError):
        permissions("nobody", SHARDS)
