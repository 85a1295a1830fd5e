"""The watch: one replica at a time, nothing told twice or lost, what comes and goes told once."""

import asyncio
from typing import Any

import msgspec
import pytest

from heliograph.common import metrics, samples
from heliograph.common.bus import Bus
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import FencedError, UnavailableError
from heliograph.common.events import Alert
from heliograph.common.samples import Measured
from heliograph.gateway.alerts import measuring
from heliograph.gateway.alerts.book import Book, Page
from heliograph.gateway.alerts.evaluator import Evaluator
from heliograph.gateway.alerts.watch import Watch

from .alert_rig import START, Eventually, Members, MovedClock, only, step_until, watch_of


@pytest.fixture
async def members(bus: Bus) -> Members:
    found = Members(bus)
    await found.add("gateway")
    metrics.ARCHIVE_WRONG.set(0)
    return found


async def published(bus: Bus) -> list[tuple[str, str]]:
    """Names and states in ALERT, in order."""
    last = await bus.last_seq("ALERT")
    found = [m async for m in bus.read("ALERT", "alert.*", after=0, upto=last)]
    alerts = [msgspec.json.decode(m.data, type=Alert) for m in found]
    assert len({a.id for a in alerts}) == len(alerts)
    return [(a.name, a.status) for a in alerts]


async def test_the_next_replica_goes_on_and_repeats_nothing(
    bus: Bus, members: Members, eventually: Eventually
) -> None:
    clock, rules = MovedClock(), only("ArchiveDamaged")
    first = watch_of(bus, clock, members, rules, "first")
    second = watch_of(bus, clock, members, rules, "second")
    assert await first.lead()
    assert not await second.lead()
    metrics.ARCHIVE_WRONG.set(1)
    await first.look()
    assert await published(bus) == [("ArchiveDamaged", "firing")]
    # The first is killed: it gives nothing back, and its lease falls with its heartbeat.
    second = watch_of(bus, clock, members, rules, "second", ttl_s=0.2)
    await eventually(second.lead)
    for _ in range(20):
        clock.seconds += 60
        assert await second.look() == []
    metrics.ARCHIVE_WRONG.set(0)
    told = await step_until(second, clock, 60, lambda alert: alert.status == "resolved")
    assert told.since == int(START * NANOSECONDS)
    assert await published(bus) == [("ArchiveDamaged", "firing"), ("ArchiveDamaged", "resolved")]
    assert not await first.lead()
    assert not first.leading
    await second.stop()
    assert await eventually(first.lead)


async def test_of_two_that_both_believe_to_watch_one_tells(bus: Bus, members: Members) -> None:
    clock, rules = MovedClock(), only("ArchiveDamaged")
    one, other = (watch_of(bus, clock, members, rules, name) for name in ("one", "other"))
    await one.look()
    await other.look()
    metrics.ARCHIVE_WRONG.set(1)
    clock.seconds += 60
    await one.look()
    await other.look()
    assert not other.leading
    assert await published(bus) == [("ArchiveDamaged", "firing")]


async def test_a_change_is_told_though_the_bus_fails_in_between(
    bus: Bus, members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = MovedClock()
    watch = watch_of(bus, clock, members, only("ArchiveDamaged"))
    metrics.ARCHIVE_WRONG.set(1)

    async def fails(*_: Any, **__: Any) -> None:
        raise UnavailableError("publish: not confirmed")

    with monkeypatch.context() as broken:
        broken.setattr(Bus, "publish", fails)
        with pytest.raises(UnavailableError):
            await watch.look()
    assert await published(bus) == []
    # As a new process would find it.
    clock.seconds += 10
    await watch_of(bus, clock, members, only("ArchiveDamaged"), "next").look()
    assert await published(bus) == [("ArchiveDamaged", "firing")]


async def test_what_comes_and_goes_is_one_alert(bus: Bus, members: Members) -> None:
    clock = MovedClock()
    watch = watch_of(bus, clock, members, only("ArchiveDamaged"))
    for minute in range(20):
        metrics.ARCHIVE_WRONG.set(minute % 2)
        clock.seconds += 60
        await watch.look()
    assert await published(bus) == [("ArchiveDamaged", "firing")]
    metrics.ARCHIVE_WRONG.set(0)


async def test_a_page_of_another_writer_is_not_overwritten(bus: Bus) -> None:
    one, other = Book(bus), Book(bus)
    await one.read()
    await other.read()
    await one.write(Page())
    with pytest.raises(FencedError):
        await other.write(Page())


def test_what_is_over_before_its_time_is_never_told() -> None:
    evaluator = Evaluator(only("CalibrationOff"), {}, START * NANOSECONDS)
    name, labels = "heliograph_calibration_error_ratio", {"strategy": "s", "of": "calibrated"}
    for minute in range(114):
        error = 0.2 if minute % 60 < 55 else 0.01
        answer = Measured(service="t", member="a", started=START, samples=[(name, labels, error)])
        assert evaluator.look((START + 60 * minute) * NANOSECONDS, [answer], []) == []
    assert len(evaluator.instances) == 1


def test_what_was_counted_before_the_watch_began_is_no_news() -> None:
    name = "heliograph_dead_letters_total"
    evaluator = Evaluator(only("DeadLetters"), {}, START * NANOSECONDS)

    def look(minute: int, value: float) -> list[Alert]:
        answer = Measured(
            service="tracker",
            member="a",
            started=START - 86_400,
            samples=[(name, {"service": "tracker"}, value)],
        )
        return evaluator.look((START + 60 * minute) * NANOSECONDS, [answer], [])

    assert [alert for minute in range(30) for alert in look(minute, 7.0)] == []
    assert [alert.status for alert in look(30, 8.0) + look(31, 8.0)] == ["firing"]


def test_nothing_is_resolved_before_enough_is_known() -> None:
    name = "heliograph_dead_letters_total"
    before = Evaluator(only("DeadLetters"), {}, START * NANOSECONDS)
    sample = (name, {"service": "tracker"}, 1.0)
    young = [Measured(service="tracker", member="a", started=START - 1, samples=[sample])]
    assert [a.status for a in before.look(START * NANOSECONDS, young, [])] == ["firing"]
    # A new process of the watch, to which the letter is old: for ten minutes it cannot know better.
    later = START + 60
    after = Evaluator(only("DeadLetters"), before.instances, later * NANOSECONDS)
    old = [Measured(service="tracker", member="a", started=START - 86_400, samples=[sample])]
    told = [(m, a.status) for m in range(20) for a in after.look((later + 60 * m) * NANOSECONDS, old, [])]
    assert told == [(10, "resolved")]


def test_a_service_is_down_until_a_replica_of_it_is_up() -> None:
    evaluator = Evaluator(only("ServiceDown"), {}, START * NANOSECONDS)

    def look(seconds: int, *up: str) -> list[tuple[str, str]]:
        answers = [
            Measured(service=name.split("-")[0], member=name, started=START, samples=[]) for name in up
        ]
        found = evaluator.look((START + seconds) * NANOSECONDS, answers, [])
        return [(a.status, str(a.labels)) for a in found]

    assert look(0, "tracker-a", "tracker-b", "fetcher-a") == []
    assert look(10, "tracker-b", "fetcher-a") == []
    assert evaluator.members == 2
    assert [look(s, "fetcher-a") for s in (20, 50, 70)] == [[], [], []]
    assert look(80, "fetcher-a") == [("firing", "{'service': 'tracker'}")]
    assert look(90, "fetcher-a", "tracker-c") == [("resolved", "{'service': 'tracker'}")]


async def test_answers_that_are_none_are_left_out(bus: Bus) -> None:
    async def nonsense(_: bytes) -> bytes:
        return b'{"service": 1}'

    async def sense(data: bytes) -> bytes:
        return samples.answer("tracker", "a", data)

    await bus.respond(samples.SUBJECT, nonsense)
    await bus.respond(samples.SUBJECT, sense)
    metrics.SIGNALS.labels("BUY").inc(0)
    (found,) = await measuring.members(bus, ["heliograph_signals_total"], 2)
    assert found.service == "tracker"
    assert found.started > 0
    assert [(name, labels) for name, labels, _ in found.samples if labels["action"] == "BUY"] == [
        ("heliograph_signals_total", {"action": "BUY"})
    ]


async def test_without_the_tracker_the_outcomes_stay(bus: Bus) -> None:
    metrics.WIN_RATIO.labels("kept@1").set(0.5)
    await measuring.outcomes(bus)
    assert metrics.WIN_RATIO.labels("kept@1")._value.get() == 0.5
    measuring.forget_outcomes()


async def test_the_watch_looks_by_itself(bus: Bus, members: Members, eventually: Eventually) -> None:
    watch: Watch = watch_of(bus, MovedClock(), members, only("ArchiveDamaged"))
    metrics.ARCHIVE_WRONG.set(1)
    task = asyncio.create_task(watch.run(0.02, 10.0))

    async def told() -> bool:
        return await published(bus) == [("ArchiveDamaged", "firing")]

    await eventually(told)
    assert metrics.ALERTS_FIRING.labels("critical")._value.get() == 1
    task.cancel()
    await watch.stop()
    metrics.ARCHIVE_WRONG.set(0)
