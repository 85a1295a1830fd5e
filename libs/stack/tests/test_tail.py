"""Signals on the command line, from the real stream."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from heliograph.common import subjects
from heliograph.common.bus import Message
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError
from heliograph.common.events import Signal, encode
from heliograph.common.shards import shard_of
from heliograph.stack.commands.signals import parse_since, tail
from heliograph.stack.commands.status import status
from heliograph.stack.stack import Stack

from .conftest import Eventually

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHARDS = 4


def signal(symbol: str, number: int) -> Signal:
    """A signal of a symbol; `number` tells it from others."""
    ts = number * 86_400 * NANOSECONDS
    return Signal(
        id=f"{number:016x}",
        cause="cause",
        ts=ts,
        symbol=symbol,
        action="BUY",
        entry=100.0,
        stop=95.0,
        target=110.0,
        confidence=61.0,
        raw_confidence=80.0,
        regime="BULL",
        view="TRENDING",
        votes=[],
        sources=["trend"],
        agreement=1.0,
        expected_r=0.8,
        strategy="default@1",
        interval="1d",
        bar_ts=ts,
        expires=ts + NANOSECONDS,
        input_seq=number,
        sha256="",
        prev_sha256="",
    )


async def publish(stack: Stack, *signals: Signal) -> None:
    """Put signals into the stream as the consensus does."""
    bus = await stack.connect()
    await bus.ensure_streams()
    for one in signals:
        subject = subjects.signal(shard_of(one.symbol, SHARDS), one.symbol)
        await bus.publish([Message(subject=subject, data=encode(one), msg_id=one.id)])
    await bus.close()


PAST = [signal("AAPL", 1), signal("BRK.B", 2), signal("AAPL", 3), signal("BTC/USD", 4)]


async def test_the_past_is_shown_in_order(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    await publish(stack, *PAST)
    wanted: list[tuple[str | None, int, list[int]]] = [
        (None, 10, [1, 2, 3, 4]),
        (None, 2, [3, 4]),
        (None, 0, []),
        ("AAPL", 10, [1, 3]),
        ("AAPL", 1, [3]),
        ("BRK.B", 10, [2]),
        ("BTC/USD", 10, [4]),
        ("MSFT", 10, []),
    ]
    for symbol, last, expected in wanted:
        await tail(stack.state, symbol=symbol, since=None, last=last, follow=False, as_json=True)
        lines = [msgspec.json.decode(line, type=Signal) for line in capsys.readouterr().out.splitlines()]
        assert lines == [PAST[number - 1] for number in expected], (symbol, last)


async def test_since_counts_from_the_time_of_publication(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    await publish(stack, *PAST[:2])
    await asyncio.sleep(0.02)
    between = datetime.now(UTC)
    await publish(stack, *PAST[2:])
    for since, expected in (
        (between - timedelta(hours=1), 4),
        (between, 2),
        (between + timedelta(hours=1), 0),
    ):
        await tail(stack.state, symbol=None, since=since, last=1, follow=False, as_json=True)
        assert len(capsys.readouterr().out.splitlines()) == expected


async def test_new_signals_follow_the_past_ones(
    stack: Stack, capsys: pytest.CaptureFixture[str], eventually: Eventually
) -> None:
    await publish(stack, *PAST)
    shown: list[str] = []

    async def lines(count: int) -> bool:
        shown.extend(capsys.readouterr().out.splitlines())
        return len(shown) >= count

    work = asyncio.create_task(
        tail(stack.state, symbol="AAPL", since=None, last=10, follow=True, as_json=True)
    )
    await eventually(lambda: lines(2))
    await publish(stack, signal("AAPL", 5), signal("MSFT", 6), signal("AAPL", 7))
    await eventually(lambda: lines(4))
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert [json.loads(line)["input_seq"] for line in shown] == [1, 3, 5, 7]


async def test_a_message_that_is_no_signal_is_left_out_and_said(
    stack: Stack, capsys: pytest.CaptureFixture[str], eventually: Eventually
) -> None:
    async def strange(name: str) -> None:
        bus = await stack.connect()
        subject = subjects.signal(shard_of("AAPL", SHARDS), "AAPL")
        await bus.publish([Message(subject=subject, data=b'{"kind": "signal"}', msg_id=name)])
        await bus.close()

    await publish(stack, PAST[0])
    await strange("past")
    await publish(stack, PAST[2])
    shown, said = "", ""

    async def lines(count: int) -> bool:
        nonlocal shown, said
        read = capsys.readouterr()
        shown, said = shown + read.out, said + read.err
        return len(shown.splitlines()) >= count

    work = asyncio.create_task(tail(stack.state, symbol=None, since=None, last=10, follow=True, as_json=True))
    await eventually(lambda: lines(2))
    await strange("live")
    await publish(stack, signal("AAPL", 5))
    await eventually(lambda: lines(3))
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert [json.loads(line)["input_seq"] for line in shown.splitlines()] == [1, 3, 5]
    wrong = [line for line in said.splitlines() if line.startswith("left out, no signal: signal.")]
    assert [line.split(": ")[1].rsplit(" ", 1)[1] for line in wrong] == ["2", "4"]


async def test_a_person_sees_the_prices(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    await publish(stack, PAST[1])
    await tail(stack.state, symbol=None, since=None, last=10, follow=False, as_json=False)
    shown = capsys.readouterr().out
    for part in ("1970-01-03", "BRK.B", "BUY", "entry 100", "stop 95", "target 110", "confidence 61"):
        assert part in shown


async def test_status_names_every_process(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    await publish(stack, *PAST)
    assert await status(stack.state, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert {process["name"] for process in said["processes"]} == {"nats", "postgres", "redis"}
    assert all(process["alive"] and process["memory"] > 0 for process in said["processes"])
    assert said["figures"]["last"]["SIGNAL"] == len(PAST)
    assert await status(stack.state, as_json=False)
    assert "postgres" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("beginning", datetime.fromtimestamp(0, UTC)),
        ("90s", NOW - timedelta(seconds=90)),
        ("15m", NOW - timedelta(minutes=15)),
        ("1.5h", NOW - timedelta(hours=1.5)),
        ("2d", NOW - timedelta(days=2)),
        ("2026-02-28", datetime(2026, 2, 28, tzinfo=UTC)),
        ("2026-02-28T09:30", datetime(2026, 2, 28, 9, 30, tzinfo=UTC)),
        ("2026-02-28T09:30+02:00", datetime(2026, 2, 28, 7, 30, tzinfo=UTC)),
    ],
)
def test_a_start_is_read(text: str, expected: datetime) -> None:
    assert parse_since(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "15", "15 m", "-2d", "2026-13-01", "d"])
def test_a_wrong_start_is_named(text: str) -> None:
    with pytest.raises(InputError, match=r"since: .*expected"):
        parse_since(text, NOW)
