"""No signal within half an hour of a known event; and an events file that is wrong is told at the start."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from heliograph.common.events import BarBatch, Signal
from heliograph.consensus.engine import Blocks, Engine, Rules
from heliograph.consensus.engine.sources import PATTERN, OtherSource
from heliograph.consensus.event_file import read_events
from heliograph.consensus.settings import ConsensusSettings

Walk = Callable[..., list[BarBatch]]
SYMBOLS = ["AAPL", "BTC/USD", "MSFT"]
MINUTE = 60 * 10**9


def run(engine: Engine, batches: list[BarBatch]) -> list[Signal]:
    return [signal for seq, batch in enumerate(batches, 1) for signal in engine.apply(batch, seq)]


@pytest.mark.parametrize("others", [[], [PATTERN]], ids=["kernel", "pattern"])
def test_a_signal_near_an_event_is_not_given_and_holds_nothing(walk: Walk, others: list[OtherSource]) -> None:
    batches = walk(5, SYMBOLS, 300, volatility=0.02)
    plain = run(Engine(others=others), batches)
    first = plain[len(plain) // 2]
    blocks = Blocks(times={first.symbol: (first.ts - 30 * MINUTE,)})
    engine = Engine(others=others, blocks=blocks)
    found = run(engine, batches)
    assert first.id not in {signal.id for signal in found}
    assert engine.counts["event"] == 1
    assert engine.counts["signals"] == len(found)
    # Before it nothing is different, nor in other symbols; after it the symbol is free to signal again.
    early = [s.id for s in plain if s.ts < first.ts]
    assert [s.id for s in found if s.ts < first.ts] == early
    others_of = [s.id for s in plain if s.symbol != first.symbol]
    assert [s.id for s in found if s.symbol != first.symbol] == others_of
    assert any(s.symbol == first.symbol and s.ts > first.ts for s in found)
    assert {case.signal for case in engine.cases} <= {signal.id for signal in found}


@pytest.mark.parametrize(
    ("minutes", "blocked"), [(-31, False), (-30, True), (0, True), (30, True), (31, False)]
)
def test_half_an_hour_before_and_after(minutes: int, blocked: bool) -> None:  # noqa: FBT001 - a case
    blocks = Blocks(times={"AAPL": (0, 1000 * MINUTE), "*": (5000 * MINUTE,)})
    for event in (1000, 5000):
        assert blocks.near("AAPL", (event + minutes) * MINUTE, 30 * MINUTE) is blocked
    assert blocks.near("MSFT", (5000 + minutes) * MINUTE, 30 * MINUTE) is blocked
    assert not blocks.near("MSFT", (1000 + minutes) * MINUTE, 30 * MINUTE)


def test_the_file_is_read_and_the_margin_is_a_rule(tmp_path: Path, walk: Walk) -> None:
    batches = walk(5, SYMBOLS, 300, volatility=0.02)
    first = run(Engine(), batches)[0]
    when = datetime.fromtimestamp(first.ts / 1e9, UTC).isoformat().replace("+00:00", "Z")
    file = tmp_path / "events.csv"
    file.write_text(f"symbol,time,kind\n*,{when},rates\nAAPL,2024-01-01T00:00:00+01:00,earnings\n")
    assert read_events(file).times["AAPL"] == (1_704_063_600 * 10**9,)
    wide = ConsensusSettings(events_file=file, rules=Rules(event_minutes=100_000))
    assert run(wide.engine(), batches) == []
    narrow = ConsensusSettings(events_file=file)
    assert first.id not in {signal.id for signal in run(narrow.engine(), batches)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("symbol,when\n", "expected symbol, time, kind"),
        ("symbol,time,kind\nAAPL,tomorrow,earnings\n", "line 2: time: 'tomorrow', expected ISO 8601"),
        ("symbol,time,kind\n*,2026-01-01T00:00:00,x\n", "expected ISO 8601 with an offset"),
        ("symbol,time,kind\n,2026-01-01T00:00:00Z,x\n", "line 2: symbol: ''"),
        (b"\xff\xfe", "codec can't decode"),
    ],
)
def test_a_wrong_file_is_told_at_the_start(tmp_path: Path, content: str | bytes, message: str) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValidationError, match=message):
        ConsensusSettings(events_file=file)
    with pytest.raises(ValidationError, match="cannot be read"):
        ConsensusSettings(events_file=tmp_path / "none.csv")
