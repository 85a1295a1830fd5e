"""Trainings from the real record: when they are due, by one replica alone, sent and sent again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from heliograph.common import metrics
from heliograph.common.bus import Bus
from heliograph.common.calibration import Calibration, Curve
from heliograph.common.calibration_bucket import BUCKET, CalibrationBucket
from heliograph.common.errors import InputError, UnavailableError
from heliograph.common.events import Signal
from heliograph.common.ids import derive_id
from heliograph.common.outcomes import EXPIRED, LOSS, WIN
from heliograph.common.service import Delivery
from heliograph.tracker import leases, record
from heliograph.tracker.calibration import store
from heliograph.tracker.calibration.store import Due
from heliograph.tracker.calibration.trainer import Trainer
from heliograph.tracker.closing import Closing, Costs, outcome_of
from heliograph.tracker.database import Database
from heliograph.tracker.rows import outcome_row, signal_row
from heliograph.tracker.service import TrackerService
from heliograph.tracker.settings import TrackerSettings
from heliograph.tracker.writer import Writer

HOUR = 3600 * 10**9
DAY = 24 * HOUR
START = 1_500_000_000 // 86_400 * DAY
STRATEGY = "default@1"

Record = Callable[..., Awaitable[None]]
Eventually = Callable[..., Awaitable[Any]]


@pytest.fixture
def ended(
    database: Database,
    writer: Writer,
    make_signal: Callable[..., Signal],
    deliver: Callable[..., Delivery],
) -> Record:
    """Record ended signals of a strategy, one an hour, of which 40 % won."""

    async def make(first: int, count: int, strategy: str = STRATEGY, **changes: Any) -> None:
        lease = await leases.take(database, 4, 1, "one")
        random = np.random.default_rng(first)
        rows = []
        for number in range(first, first + count):
            opened = START + number * HOUR
            signal = make_signal(
                id=derive_id("signal", strategy, number),
                ts=opened,
                raw_confidence=float(random.uniform(75, 98)),
                strategy=strategy,
                **changes,
            )
            won = random.random() < 0.4
            closing = Closing(
                code=WIN if won else LOSS,
                exit=110.0 if won else 95.0,
                best=1.0,
                worst=-1.0,
                bars=1,
                bar_ts=opened,
                bar_close_ts=opened + HOUR,
                input_seq=number,
            )
            outcome = record.stored_outcome(outcome_of(signal, closing, Costs()), "")
            rows += [signal_row(lease, deliver(signal, number)), outcome_row(lease, outcome)]
        await writer.write(lease, rows)

    return make


@pytest.fixture
def trainer(database: Database, bus: Bus, tracker_settings: TrackerSettings) -> Callable[[], Trainer]:
    return lambda: Trainer(database, bus, tracker_settings)


async def test_a_training_is_recorded_and_sent(
    bus: Bus, ended: Record, trainer: Callable[[], Trainer], database: Database
) -> None:
    await ended(0, 300)
    (trial,) = await trainer().look()
    assert trial.taken
    assert (trial.model.strategy, trial.model.outcomes) == (STRATEGY, 300)
    assert (trial.model.since, trial.model.until) == (START + HOUR, START + 300 * HOUR)
    assert trial.model.pool.at([85.0])[0] == pytest.approx(40, abs=12)
    assert await CalibrationBucket(bus).newer() == [trial.model]
    ((taken, figures),) = await database.fetch("SELECT taken, figures FROM calibrations")
    assert taken
    assert set(msgspec.json.decode(figures)) == {"raw", "candidate", "current"}


async def test_the_next_training_waits_for_a_hundred_outcomes_or_a_day(
    ended: Record, trainer: Callable[[], Trainer]
) -> None:
    await ended(0, 99)
    assert await trainer().look() == []
    await ended(99, 1)
    assert len(await trainer().look()) == 1
    assert await trainer().look() == []
    await ended(100, 23)
    assert await trainer().look() == []
    await ended(123, 1)  # a day of event time later
    (trial,) = await trainer().look()
    assert trial.model.outcomes == 124


def test_when_it_is_due(tracker_settings: TrackerSettings, bus: Bus, database: Database) -> None:
    one = Trainer(database, bus, tracker_settings)
    assert one.is_due(Due(strategy="s", newest=5, new=100, tried=0))
    assert one.is_due(Due(strategy="s", newest=5, new=100, tried=5))
    assert not one.is_due(Due(strategy="s", newest=5 * DAY, new=99, tried=0))
    assert one.is_due(Due(strategy="s", newest=5 * DAY, new=1, tried=4 * DAY))
    assert not one.is_due(Due(strategy="s", newest=5 * DAY, new=1, tried=4 * DAY + 1))
    assert not one.is_due(Due(strategy="s", newest=5 * DAY, new=0, tried=DAY))


async def test_replicas_that_look_together_train_once(
    bus: Bus, ended: Record, trainer: Callable[[], Trainer], database: Database
) -> None:
    await ended(0, 300)
    replicas = [trainer() for _ in range(4)]
    found = await asyncio.gather(*(replica.look() for replica in replicas))
    assert sum(map(len, found)) == 1
    assert len(await CalibrationBucket(bus).newer()) == 1
    ((count,),) = await database.fetch("SELECT count(*) FROM calibrations")
    assert count == 1


async def test_while_another_replica_trains_nothing_is_done(
    ended: Record, trainer: Callable[[], Trainer], database: Database
) -> None:
    await ended(0, 300)
    async with database.connection() as other, other.transaction():
        assert await store.lock(other)
        assert await trainer().look() == []
    assert len(await trainer().look()) == 1


async def test_only_the_last_days_count_and_each_strategy_for_itself(
    ended: Record, trainer: Callable[[], Trainer], tracker_settings: TrackerSettings
) -> None:
    await ended(0, 150)
    await ended(90 * 24, 120)
    await ended(0, 110, strategy="other@2")
    trials = {trial.model.strategy: trial.model for trial in await trainer().look()}
    # The window ends with the newest outcome and does not hold what ended 90 days before.
    assert trials[STRATEGY].outcomes == 120 + (150 - 120)
    assert trials["other@2"].outcomes == 110


async def test_a_symbol_far_ahead_of_the_others_does_not_empty_the_window(
    ended: Record, trainer: Callable[[], Trainer], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ended(0, 150)
    await ended(400 * 24, 40)
    one = trainer()
    (trial,) = await one.look()
    assert (trial.model.outcomes, trial.model.until) == (150, START + 150 * HOUR)
    await ended(403 * 24, 1)
    assert await one.look() == []  # a day later, and the same window
    fetched = []
    outcomes = store.outcomes

    async def counting(*args: Any) -> Any:
        fetched.append(args)
        return await outcomes(*args)

    monkeypatch.setattr(store, "outcomes", counting)
    assert await one.look() == []
    assert fetched == []
    await ended(404 * 24, 60)
    (trial,) = await one.look()
    assert (trial.model.outcomes, trial.model.since) == (101, START + (400 * 24 + 1) * HOUR)


async def test_an_expired_signal_counts_by_the_sign_of_its_profit(
    database: Database, writer: Writer, make_signal: Callable[..., Signal], deliver: Callable[..., Delivery]
) -> None:
    lease = await leases.take(database, 4, 1, "one")
    rows = []
    for number, exit_ in enumerate((101.0, 100.0, 99.0)):
        signal = make_signal(number)
        closing = Closing(
            code=EXPIRED,
            exit=exit_,
            best=1.0,
            worst=-1.0,
            bars=1,
            bar_ts=START,
            bar_close_ts=START + (number + 1) * DAY,
            input_seq=1,
        )
        outcome = record.stored_outcome(outcome_of(signal, closing, Costs()), "")
        rows += [signal_row(lease, deliver(signal, number + 1)), outcome_row(lease, outcome)]
    await writer.write(lease, rows)
    async with database.connection() as connection:
        found = await store.outcomes(connection, STRATEGY, 0, START + 2 * DAY)
        assert found.won.tolist() == [1.0, 0.0]
        assert found.ended.tolist() == [START + DAY, START + 2 * DAY]
        everything = await store.outcomes(connection, STRATEGY, START + DAY, START + 9 * DAY)
        assert everything.won.tolist() == [0.0, 0.0]
        nothing = await store.outcomes(connection, "other@2", 0, START + 9 * DAY)
        assert nothing.raw.size == 0


async def test_what_was_not_sent_is_sent_by_the_next_who_looks(
    bus: Bus, ended: Record, trainer: Callable[[], Trainer]
) -> None:
    await ended(0, 200)
    (first,) = await trainer().look()
    await ended(200, 100)
    (second,) = await trainer().look()
    await bus.js.delete_key_value(BUCKET)
    assert await trainer().look() == []
    kept = await CalibrationBucket(bus).newer()
    assert kept == [trial.model for trial in (first, second) if trial.taken]
    assert kept


async def test_a_value_that_is_no_calibration_is_passed_over(bus: Bus) -> None:
    model = Calibration(
        version="1", strategy="a b@1", since=0, until=1, outcomes=100, pool=Curve(raw=[80.0], win=[40.0])
    )
    bucket, reader = CalibrationBucket(bus), CalibrationBucket(bus)
    assert await reader.newer() == []
    await bucket.put(model)
    kv = await bus.js.key_value(BUCKET)
    await kv.put("odd", b'{"version":"x"}')
    await bucket.put(later := msgspec.structs.replace(model, version="2"))
    assert await reader.newer() == [model, later]
    assert await reader.newer() == []


async def test_a_failure_is_counted_and_tried_again(
    trainer: Callable[[], Trainer], monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    one = trainer()
    failures: list[Exception] = [UnavailableError("away"), RuntimeError("odd")]
    looks = 0

    async def look() -> list[Any]:
        nonlocal looks
        looks += 1
        if failures:
            raise failures.pop(0)
        return []

    monkeypatch.setattr(one._looking, "_look", look)
    monkeypatch.setattr(one._looking, "_every_s", 0.01)
    before = metrics.CALIBRATION_FAILURES._value.get()
    one.start()

    async def went_on() -> bool:
        return looks > 3

    await eventually(went_on)
    await one.close()
    # A store that is away is no failure of the training.
    assert metrics.CALIBRATION_FAILURES._value.get() == before + 1


async def test_the_service_trains_by_itself_and_tells(
    ended: Record, tracker: TrackerService, bus: Bus, eventually: Eventually
) -> None:
    assert await bus.request("query.tracker.calibration", {}) == {"calibrations": []}
    await ended(0, 300)
    await ended(300, 50, calibration="older", confidence=40.0)

    async def trained() -> Any:
        return (await bus.request("query.tracker.calibration", {}))["calibrations"]

    (found,) = await eventually(trained)
    assert (found["strategy"], found["outcomes"], found["refused"]) == (STRATEGY, 350, 0)
    assert found["trial"]["candidate"]["count"] == 70
    assert found["trial"]["candidate"]["brier"] < found["trial"]["raw"]["brier"]
    assert len(found["trial"]["candidate"]["bins"]) == 15
    assert found["published"]["calibrated"]["count"] == 50
    assert found["published"]["calibrated"]["forecast"] == 40.0
    assert found["published"]["raw"]["forecast"] > 75
    assert len(found["raw"]) == len(found["win"]) >= 1
    named = await bus.request("query.tracker.calibration", {"strategy": "other@2"})
    assert named == {"calibrations": []}
    with pytest.raises(InputError, match="query"):
        await bus.request("query.tracker.calibration", {"strategy": 7})
