"""Calibrated signals: which version counts, what changes, and what a redelivery must not change."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from heliograph.common import subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.calibration import Calibration, Curve
from heliograph.common.calibration_bucket import HISTORY, CalibrationBucket
from heliograph.common.checkpoint import Checkpoints
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.errors import UnavailableError
from heliograph.common.events import BarBatch, Signal, encode, identity_sha256
from heliograph.common.service import Context, Delivery
from heliograph.consensus import processor as module
from heliograph.consensus.calibration import Calibrator
from heliograph.consensus.engine import Engine
from heliograph.consensus.processor import ConsensusProcessor
from heliograph.consensus.service import ConsensusService
from heliograph.consensus.settings import ConsensusSettings

SHARD = 1
SYMBOLS = ["AAPL", "BRK.B", "BTC/USD", "A B"]
STRATEGY = "default@2"
Walk = Callable[..., list[BarBatch]]


def model(version: str, until: int, win: float = 40.0, **changes: Any) -> Calibration:
    fields: dict[str, Any] = {
        "version": version,
        "strategy": STRATEGY,
        "since": 0,
        "until": until,
        "outcomes": 100,
        "pool": Curve(raw=[70.0, 100.0], win=[win, win + 10]),
    }
    return Calibration(**(fields | changes))


def calibrator(*models: Calibration) -> Calibrator:
    made = Calibrator()
    made.add(models)
    return made


@pytest.fixture(scope="module")
def made(walk: Walk) -> list[tuple[Signal, int]]:
    """Signals of a random walk as the engine makes them, each with the sequence of its batch."""
    engine = Engine()
    return [
        (signal, seq)
        for seq, batch in enumerate(walk(1, SYMBOLS, 300), 1)
        for signal in engine.apply(batch, seq)
    ]


def test_without_a_calibration_the_raw_confidence_passes_and_is_marked(made: Any) -> None:
    signal, _ = made[0]
    assert Calibrator().calibrated(signal) is signal
    assert signal.calibration == "none"
    assert signal.confidence == signal.raw_confidence
    other = model("1", 0, strategy="other@1")
    assert calibrator(other).calibrated(signal) is signal


def test_the_probability_takes_the_place_of_the_raw_confidence(made: Any) -> None:
    signal, _ = made[0]
    found = calibrator(model("abc", signal.ts - 1)).calibrated(signal)
    expected = round(40 + (signal.raw_confidence - 70) / 30 * 10, 2)
    assert found.confidence == expected == round(found.confidence, 2)
    assert found.calibration == "abc"
    reward = abs(signal.target - signal.entry) / abs(signal.entry - signal.stop)
    p = expected / 100
    assert found.expected_r == pytest.approx(p * reward - (1 - p), abs=1e-6)
    changed = {"confidence", "expected_r", "calibration"}
    same = {f.name for f in msgspec.structs.fields(Signal)} - changed
    assert {n: getattr(found, n) for n in same} == {n: getattr(signal, n) for n in same}


def test_a_symbol_with_a_curve_has_its_own(made: Any) -> None:
    signal, _ = made[0]
    own = {signal.symbol: Curve(raw=[80.0], win=[61.234])}
    assert calibrator(model("1", 0, symbols=own)).calibrated(signal).confidence == 61.23
    assert calibrator(model("1", 0, symbols={"ZZ": own[signal.symbol]})).calibrated(signal).confidence < 50


@examples(deadline=None)
@given(st.lists(st.integers(0, 50), max_size=60), st.integers(-1, 52))
def test_only_a_version_that_had_seen_nothing_of_its_time_counts(untils: list[int], ts: int) -> None:
    models = [model(str(n), until) for n, until in enumerate(untils)]
    found = calibrator(*models).model(STRATEGY, ts)
    allowed = [m for m in models if m.until < ts]
    if found is None:
        assert not allowed
    else:
        newest = max(m.until for m in allowed)
        # Of two that saw the same time the one that was sent later counts.
        assert found == [m for m in allowed if m.until == newest][-1]


def test_a_version_comes_once_and_only_the_last_ones_stay() -> None:
    models = [model(str(n), n) for n in range(HISTORY + 10)]
    one = calibrator(*models, *models)
    assert one.versions == {STRATEGY: str(HISTORY + 9)}
    assert one.model(STRATEGY, 10) is None
    oldest = one.model(STRATEGY, 11)
    assert oldest is not None
    assert oldest.version == "10"


@pytest.fixture
def settings(nats_settings: Settings) -> ConsensusSettings:
    return ConsensusSettings(**{**nats_settings.model_dump(), "checkpoint_s": 1000})


@pytest.fixture
def processor(bus: Bus, settings: ConsensusSettings) -> Callable[[Calibrator], ConsensusProcessor]:
    return lambda one: ConsensusProcessor(
        SHARD, bus, SYSTEM_CLOCK, settings, Checkpoints(bus, "consensus"), one
    )


async def deliver(bus: Bus, batches: Sequence[BarBatch]) -> list[Delivery]:
    subject = subjects.bars(SHARD)
    messages = [Message(subject=subject, data=encode(b), msg_id="", headers={}) for b in batches]
    last = await bus.append(messages, last_seq=0, guard=subject)
    first = last - len(batches) + 1
    return [
        Delivery(event=batch, subject=subject, data=b"", seq=first + n, headers={})
        for n, batch in enumerate(batches)
    ]


async def published(bus: Bus) -> list[Signal]:
    upto = await bus.last_seq("SIGNAL")
    return [
        msgspec.json.decode(m.data, type=Signal)
        async for m in bus.read("SIGNAL", subjects.signal(SHARD), after=0, upto=upto)
    ]


def check_chain(signals: Sequence[Signal]) -> None:
    names = ("id", "symbol", "action", "entry", "target", "stop", "confidence", "strategy", "ts")
    for signal in signals:
        assert signal.sha256 == identity_sha256(**{name: getattr(signal, name) for name in names})
    assert signals[0].prev_sha256 == ""
    for before, after in pairwise(signals):
        assert after.prev_sha256 == before.sha256


async def test_calibration_changes_no_id_and_the_chain_covers_what_is_published(
    bus: Bus, walk: Walk, made: Any, processor: Callable[[Calibrator], ConsensusProcessor]
) -> None:
    given_ = await deliver(bus, walk(1, SYMBOLS, 300))
    middle = made[len(made) // 2][0].ts
    one = processor(calibrator(model("1", middle)))
    await one.open()
    await one.handle("bars", given_)
    found = await published(bus)
    assert [s.id for s in found] == [s.id for s, _ in made]
    assert [s.raw_confidence for s in found] == [s.raw_confidence for s, _ in made]
    assert {s.calibration for s in found if s.ts <= middle} == {"none"}
    assert {s.calibration for s in found if s.ts > middle} == {"1"}
    check_chain(found)


async def test_what_was_published_stays_though_another_calibration_has_come(
    bus: Bus,
    walk: Walk,
    made: Any,
    processor: Callable[[Calibrator], ConsensusProcessor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each run dies after a few more signals, also inside a batch; the next has another calibration."""
    given_ = await deliver(bus, walk(1, SYMBOLS, 300))
    monkeypatch.setattr(module, "ATOMIC_LIMIT", 1)
    append, budget = bus.append, 0

    async def dying(messages: Sequence[Message], *, last_seq: int, guard: str, whole: bool) -> int:
        nonlocal budget
        budget -= 1
        if budget < 0:
            raise UnavailableError("gone")
        return await append(messages, last_seq=last_seq, guard=guard, whole=whole)

    monkeypatch.setattr(bus, "append", dying)
    seen: list[Signal] = []
    for run in range(len(made)):
        budget = 3
        one = processor(calibrator(model(f"run {run}", 0, win=float(run % 50))))
        await one.open()
        try:
            await one.handle("bars", given_)
        except UnavailableError:
            now = await published(bus)
            assert now[: len(seen)] == seen
            seen = now
            continue
        break
    found = await published(bus)
    assert found[: len(seen)] == seen
    assert [s.id for s in found] == [s.id for s, _ in made]
    assert len({s.calibration for s in found}) > 3
    check_chain(found)


async def test_a_new_owner_without_the_calibrations_goes_on_with_the_chain(
    bus: Bus, walk: Walk, made: Any, processor: Callable[[Calibrator], ConsensusProcessor]
) -> None:
    given_ = await deliver(bus, walk(1, SYMBOLS, 300))
    middle = made[len(made) // 2][1]
    first = processor(calibrator(model("1", 0)))
    await first.open()
    await first.handle("bars", given_[:middle])
    await first.close()
    second = processor(Calibrator())
    await second.open()
    assert second.engine.seq == given_[middle - 1].seq
    await second.handle("bars", given_)
    found = await published(bus)
    assert [s.id for s in found] == [s.id for s, _ in made]
    assert [s.calibration for s in found] == ["1" if seq <= middle else "none" for _, seq in made]
    check_chain(found)


async def test_the_service_takes_what_is_sent_and_goes_on_without_the_bus(
    bus: Bus,
    settings: ConsensusSettings,
    eventually: Callable[..., Awaitable[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = CalibrationBucket(bus)
    await bucket.put(model("1", 1))
    service = ConsensusService()
    await service.start(
        Context(name="consensus", member="one", settings=settings, bus=bus, clock=SYSTEM_CLOCK)
    )
    assert (await service.status())["calibrations"] == {STRATEGY: "1"}
    last = bus.last

    async def away(*_: object) -> None:
        monkeypatch.setattr(bus, "last", last)
        raise UnavailableError("away")

    monkeypatch.setattr(bus, "last", away)

    async def tried() -> bool:
        return bus.last == last

    await eventually(tried)
    await bucket.put(model("2", 2))

    async def taken() -> bool:
        return bool((await service.status())["calibrations"] == {STRATEGY: "2"})

    await eventually(taken)
    await service.stop()
