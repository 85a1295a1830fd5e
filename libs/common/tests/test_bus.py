"""The bus on the real server: atomic appends, reading back, idempotent publishing."""

import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from heliograph.common.append import FEW
from heliograph.common.bus import Bus, Message
from heliograph.common.config import Settings
from heliograph.common.errors import ConfigError, FencedError, UnavailableError


def messages(subject: str, count: int, first: int = 0) -> list[Message]:
    return [
        Message(subject=subject, data=b"%d" % n, msg_id=f"{subject}-{n}") for n in range(first, first + count)
    ]


async def read_all(bus: Bus, stream: str, subject: str, after: int = 0) -> list[bytes]:
    return [m.data async for m in bus.read(stream, subject, after=after, upto=await bus.last_seq(stream))]


@pytest.mark.parametrize("count", [1, 2, 700])
async def test_append_stores_all_in_order(bus: Bus, count: int) -> None:
    seq = await bus.append(messages("input.bars.1", count), last_seq=0, guard="input.bars.1")
    assert await read_all(bus, "INPUT", "input.bars.1") == [b"%d" % n for n in range(count)]
    last = await bus.last("INPUT", "input.bars.1")
    assert last is not None
    assert last.seq == seq


@pytest.mark.parametrize("count", [1, 5])
async def test_append_is_refused_whole_when_another_has_written(bus: Bus, count: int) -> None:
    first = await bus.append(messages("input.bars.1", 3), last_seq=0, guard="input.bars.1")
    with pytest.raises(FencedError):
        await bus.append(messages("input.bars.1", count, 10), last_seq=0, guard="input.bars.1")
    assert len(await read_all(bus, "INPUT", "input.bars.1")) == 3
    await bus.append(messages("input.bars.1", count, 10), last_seq=first, guard="input.bars.1")
    assert len(await read_all(bus, "INPUT", "input.bars.1")) == 3 + count


@pytest.mark.parametrize("count", [1, 5])
async def test_append_guards_a_wildcard(bus: Bus, count: int) -> None:
    await bus.append(messages("signal.2.X", 2), last_seq=0, guard="signal.2.>")
    first = await bus.append(messages("signal.1.A", 2), last_seq=0, guard="signal.1.>")
    with pytest.raises(FencedError):
        await bus.append(messages("signal.1.B", count), last_seq=0, guard="signal.1.>")
    last = await bus.append(messages("signal.1.B", count), last_seq=first, guard="signal.1.>")
    newest = await bus.last("SIGNAL", "signal.1.>")
    assert newest is not None
    assert newest.seq == last
    assert newest.subject == "signal.1.B"


async def test_read_takes_only_the_range_and_the_subject(bus: Bus) -> None:
    for shard in (0, 1):
        await bus.append(messages(f"input.bars.{shard}", 5), last_seq=0, guard=f"input.bars.{shard}")
    found = [m.seq async for m in bus.read("INPUT", "input.bars.1", after=6, upto=9)]
    assert found == [7, 8, 9]
    assert await bus.last("INPUT", "input.bars.3") is None


async def test_publish_twice_stores_once(bus: Bus) -> None:
    for _ in range(2):
        await bus.publish(messages("reason.1.A", 50))
    assert len(await read_all(bus, "REASON", "reason.1.A")) == 50


async def test_another_number_of_shards_is_refused_by_name(bus: Bus, nats_settings: Settings) -> None:
    other = await Bus.connect(nats_settings.model_copy(update={"shards": 8}), "other")
    with pytest.raises(ConfigError, match="shards: 8"):
        await other.ensure_streams()
    await other.close()


async def test_the_bus_outlives_a_killed_server(
    bus: Bus, nats_server: Any, eventually: Callable[..., Awaitable[Any]]
) -> None:
    first = await bus.append(messages("input.bars.1", 3), last_seq=0, guard="input.bars.1")
    nats_server.stop(signal.SIGKILL)
    with pytest.raises(UnavailableError):
        await bus.append(messages("input.bars.1", 3, 3), last_seq=first, guard="input.bars.1", timeout=0.5)
    nats_server.start()

    async def back() -> bool:
        last = await bus.last("INPUT", "input.bars.1")
        return last is not None and last.seq == first

    async def answers() -> bool:
        try:
            return await back()
        except UnavailableError:
            return False

    await eventually(answers)
    await bus.append(messages("input.bars.1", 3, 3), last_seq=first, guard="input.bars.1")
    assert await read_all(bus, "INPUT", "input.bars.1") == [b"%d" % n for n in range(6)]


async def test_requests_answer_and_errors_come_back(bus: Bus) -> None:
    async def answer(data: bytes) -> bytes:
        if data == b"{}":
            raise UnavailableError("store: away")
        return data

    await bus.respond("query.test.echo", answer, queue="test")
    assert await bus.request("query.test.echo", {"a": 1}) == {"a": 1}
    with pytest.raises(UnavailableError, match="store: away"):
        await bus.request("query.test.echo", {})
    assert await bus.ask_all("query.test.echo", {"b": 2}) == [{"b": 2}]


@pytest.mark.parametrize("count", [1, 2, FEW, FEW + 1])
async def test_what_need_not_be_whole_is_stored_in_order_and_fenced(bus: Bus, count: int) -> None:
    """One by one or as a batch: the last one's sequence comes back, and who is behind is refused."""
    first = await bus.append(messages("signal.1.A", count), last_seq=0, guard="signal.1.>", whole=False)
    await bus.append(messages("signal.2.A", 1), last_seq=0, guard="signal.2.>", whole=False)
    with pytest.raises(FencedError):
        await bus.append(messages("signal.1.B", count), last_seq=first - 1, guard="signal.1.>", whole=False)
    last = await bus.append(messages("signal.1.B", count), last_seq=first, guard="signal.1.>", whole=False)
    stored = [m.data async for m in bus.read("SIGNAL", "signal.1.>", after=0, upto=last)]
    assert stored == [m.data for s in ("A", "B") for m in messages(f"signal.1.{s}", count)]
