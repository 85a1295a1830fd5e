"""The pace of a replay, the look at the consumers, and the health of a source."""

from typing import Any

import pytest

from heliograph.fetcher.backpressure import Backpressure, worst
from heliograph.fetcher.health import SourceHealth
from heliograph.fetcher.pace import Pace, start_of

SECOND = 10**9
DAY = 86_400 * SECOND


class ToldClock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now_ns(self) -> int:
        return int(self.seconds * SECOND)

    def monotonic(self) -> float:
        return self.seconds


def test_at_full_speed_everything_is_due() -> None:
    pace = Pace(ToldClock(), None, 5)
    assert pace.reached_ns() > 10**18
    assert pace.wait_s(10**18) == 0.0


def test_event_time_goes_by_the_factor_from_the_first_look() -> None:
    clock = ToldClock()
    pace = Pace(clock, 86_400.0, 100 * DAY)
    clock.seconds += 50
    assert pace.reached_ns() == 100 * DAY
    clock.seconds += 2.5
    assert pace.reached_ns() == 102 * DAY + DAY // 2
    assert pace.wait_s(104 * DAY) == pytest.approx(1.5)
    assert pace.wait_s(101 * DAY) == 0.0


@pytest.mark.parametrize(
    ("undelivered", "history_days", "start"), [(10, 0, 10), (10, 7, 17), (50, 7, 50), (None, 7, 17)]
)
def test_the_pace_begins_after_the_history_or_where_a_run_stands(
    undelivered: int | None, history_days: int, start: int
) -> None:
    at = None if undelivered is None else undelivered * DAY
    assert start_of(10 * DAY, history_days * DAY, at) == start * DAY


@pytest.mark.parametrize(("shard", "lag"), [(0, 7), (1, 70), (10, 100), (2, 7)])
def test_only_consumers_of_the_shard_count(shard: int, lag: int) -> None:
    behind = {"consensus-0-bars": 5, "tracker-1-bars": 70, "archiver-10-input": 100, "a person's": 7}
    assert worst(behind, shard) == lag


class ToldBus:
    """Consumers with a lag that the test tells."""

    def __init__(self) -> None:
        self.behind: dict[str, int] = {}
        self.looks = 0

    async def lag(self, stream: str) -> dict[str, int]:
        assert stream == "INPUT"
        self.looks += 1
        return self.behind


async def test_room_is_what_the_slowest_consumer_leaves() -> None:
    clock = ToldClock()
    bus: Any = ToldBus()
    backpressure = Backpressure(bus, clock)
    assert await backpressure.room(3, 100, 60) == 100
    backpressure.spend(3, 60)
    assert await backpressure.room(3, 100, 60) == 40
    assert await backpressure.room(4, 100, 60) == 100
    backpressure.spend(3, 40)
    assert await backpressure.room(3, 100, 60) == 0
    assert bus.looks == 1

    bus.behind = {"consensus-3-bars": 90}
    clock.seconds += 1.0
    assert await backpressure.room(3, 100, 60) == 10
    assert bus.looks == 2
    backpressure.spend(3, 10)
    bus.behind = {"consensus-3-bars": 250}
    clock.seconds += 0.5
    assert await backpressure.room(3, 100, 60) == 0
    clock.seconds += 0.5
    assert await backpressure.room(3, 100, 60) == 0
    assert bus.looks == 3

    bus.behind = {}
    clock.seconds += 1.0
    assert await backpressure.room(3, 100, 60) == 100


async def test_a_reader_that_has_not_come_is_behind_by_all_that_was_published() -> None:
    clock = ToldClock()
    bus: Any = ToldBus()
    backpressure = Backpressure(bus, clock, ("consensus", "tracker"))
    assert await backpressure.room(3, 100, 70) == 30
    backpressure.spend(3, 30)
    bus.behind = {"consensus-3-bars": 5, "tracker-33-bars": 0}
    clock.seconds += 1.0
    assert await backpressure.room(3, 100, 100) == 0

    bus.behind = {"consensus-3-bars": 5, "tracker-3-bars": 80}
    clock.seconds += 1.0
    assert await backpressure.room(3, 100, 100) == 20


@pytest.mark.parametrize(
    ("failures", "seconds_ago", "state"),
    [
        (0, 10, "healthy"),
        (4, 10, "healthy"),
        (5, 10, "unhealthy"),
        (0, 300, "healthy"),
        (0, 301, "degraded"),
        (9, 301, "unhealthy"),
    ],
)
def test_health_by_failures_and_silence(failures: int, seconds_ago: int, state: str) -> None:
    now = 10_000 * SECOND
    source = SourceHealth(since_ns=0, last_success_ns=now - seconds_ago * SECOND, failures=failures)
    assert source.state(now) == state


def test_a_source_that_was_never_heard_is_given_its_time() -> None:
    source = SourceHealth(since_ns=1000 * SECOND)
    assert source.state(1300 * SECOND) == "healthy"
    assert source.state(1301 * SECOND) == "degraded"
