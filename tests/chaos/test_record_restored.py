"""The record lost with the streams that it came of: the archive gives it back, by a user's command."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliograph.common import subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.errors import UnavailableError
from heliograph.common.events import Outcome, Reason, Signal, encode, identity_sha256
from heliograph.common.ids import derive_id
from heliograph.common.shards import shard_of
from heliograph.stack.options import Options
from heliograph.stack.stack import Stack
from heliograph.stack.state import State

HELIOGRAPH = str(Path(sys.executable).with_name("heliograph"))
SHARDS = 2
SYMBOLS = ("AAPL", "BRK.B", "BTC/USD")
DAYS = 20
ENDED = 12
DAY_NS = 86_400 * 10**9
START = 18_262 * DAY_NS
Eventually = Callable[..., Awaitable[Any]]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def made_signal(day: int, symbol: str, head: str) -> Signal:
    identity: dict[str, Any] = {
        "id": derive_id("signal", symbol, day),
        "symbol": symbol,
        "action": "BUY",
        "entry": 100.25,
        "target": 112.5,
        "stop": 95.125,
        "confidence": 81.25,
        "strategy": "default@1",
        "ts": START + day * DAY_NS,
    }
    return Signal(
        **identity,
        sha256=identity_sha256(**identity),
        prev_sha256=head,
        raw_confidence=80.0,
        regime="BULL",
        view="TRENDING",
        votes=[],
        sources=["trend"],
        agreement=1.0,
        expected_r=1.5,
        interval="1d",
        bar_ts=START + (day - 1) * DAY_NS,
        expires=START + (day + 30) * DAY_NS,
        input_seq=day,
    )


def made_reason(signal: Signal) -> Reason:
    return Reason(
        id=derive_id("reason", signal.id),
        cause=signal.id,
        ts=signal.ts,
        received=signal.ts + 5,
        signal=signal.id,
        symbol=signal.symbol,
        text=f"The trend of {signal.symbol} is up.",
        provider="template",
        model="template@1",
    )


def made_outcome(signal: Signal) -> Outcome:
    return Outcome(
        id=derive_id("outcome", signal.id),
        cause=signal.id,
        ts=signal.ts + 3 * DAY_NS,
        signal=signal.id,
        symbol=signal.symbol,
        action="BUY",
        result="win",
        entry=signal.entry,
        exit=signal.target,
        opened=signal.ts,
        exit_bar_ts=signal.ts + 2 * DAY_NS,
        pnl=12.2,
        pnl_net=12.0,
        r_multiple=2.4,
        bars=3,
        best=12.5,
        worst=-1.0,
        input_seq=signal.input_seq + 3,
        strategy=signal.strategy,
    )


def events() -> tuple[list[Signal], list[Reason], list[Outcome]]:
    heads = dict.fromkeys(range(SHARDS), "")
    signals = []
    for day in range(DAYS):
        for symbol in SYMBOLS:
            shard = shard_of(symbol, SHARDS)
            signals.append(made_signal(day, symbol, heads[shard]))
            heads[shard] = signals[-1].sha256
    ended = [made_outcome(signal) for signal in signals if signal.input_seq < ENDED]
    return signals, [made_reason(signal) for signal in signals], ended


async def publish(bus: Bus, subject: Callable[[int, str], str], made: list[Any]) -> None:
    await bus.publish(
        [
            Message(
                subject=subject(shard_of(event.symbol, SHARDS), event.symbol),
                data=encode(event),
                msg_id=event.id,
            )
            for event in made
        ]
    )


async def heliograph(state: State, *args: str) -> tuple[int, Any]:
    """The exit code and the JSON of a command."""
    process = await asyncio.create_subprocess_exec(
        HELIOGRAPH, *args, "--json", "--state", str(state.folder), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return process.returncode or 0, json.loads(output)


async def answered(bus: Bus, subject: str) -> Any:
    """An answer, or nothing while nobody gives one."""
    try:
        return await bus.request(subject, {}, 2)
    except UnavailableError:
        return None


async def test_a_record_lost_with_its_streams_comes_back_from_the_archive(
    tmp_path: Path, eventually: Eventually
) -> None:
    state = State(tmp_path / "state")
    options = Options(data=tmp_path, speed=None, shards=SHARDS, gateway_port=0)
    signals, reasons, outcomes = events()
    total = len(signals) + len(reasons) + len(outcomes)
    async with Stack(state, options, names=("archiver",)) as stack:
        bus = await stack.connect()
        await bus.ensure_streams()
        for subject, made in (
            (subjects.signal, signals),
            (subjects.reason, reasons),
            (subjects.outcome, outcomes),
        ):
            await publish(bus, subject, made)

        async def stored() -> bool:
            counts = await answered(bus, "query.archiver.counts") or {}
            return bool(sum(counts.get(name, 0) for name in ("signals", "reasons", "outcomes")) == total)

        await eventually(stored, timeout=60)
        assert (await heliograph(state, "archive", "run"))[0] == 0
        for stream in ("SIGNAL", "REASON", "OUTCOME"):
            await bus.js.purge_stream(stream)
        await bus.close()
    # The record begins empty, as after the loss of Postgres, and no stream can fill it.
    async with Stack(state, options, names=("archiver", "tracker")) as stack:
        bus = await stack.connect()

        async def recorded() -> Any:
            return await answered(bus, "query.tracker.stats") and await answered(bus, "query.archiver.counts")

        await eventually(recorded, timeout=60)
        assert (await bus.request("query.tracker.stats", {}))["signals"] == 0
        code, said = await heliograph(state, "archive", "restore", "--record")
        assert (code, said["events"], said["new"], said["there"]) == (0, total, total, 0)
        stats = await bus.request("query.tracker.stats", {})
        assert (stats["signals"], stats["reasons"], stats["outcomes"]) == (
            len(signals),
            len(reasons),
            len(outcomes),
        )
        assert stats["open"] == len(signals) - len(outcomes)
        for signal, reason in zip(signals, reasons, strict=True):
            found = await bus.request("query.tracker.signal", {"id": signal.id})
            assert found.pop("reason") == msgspec.to_builtins(reason)
            found.pop("outcome")
            assert found == json.loads(encode(signal))
        code, verdict = await heliograph(state, "verify", "--full")
        assert (code, verdict["findings"]) == (0, [])
        code, said = await heliograph(state, "archive", "restore", "--record")
        assert (code, said["new"], said["there"], said["differing"]) == (0, 0, total, 0)
        assert await bus.last_seq("DEAD") == 0
        await bus.close()
