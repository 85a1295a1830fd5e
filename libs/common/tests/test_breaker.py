"""The circuit breaker: opens, waits, tries, closes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.spend.breaker import Breaker


def fail(breaker: Breaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        assert breaker.enter(now)
        breaker.failed(now)


def succeed(breaker: Breaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        assert breaker.enter(now)
        breaker.succeeded()


def test_five_failures_in_a_row_open_it() -> None:
    breaker = Breaker()
    fail(breaker, 4)
    succeed(breaker, 1)
    fail(breaker, 4)
    assert breaker.state(0) == "closed"
    fail(breaker, 1)
    assert breaker.state(0) == "open"
    assert not breaker.enter(59.9)


def test_more_than_half_of_twenty_failures_open_it() -> None:
    breaker = Breaker()
    for _ in range(10):
        succeed(breaker, 1)
        fail(breaker, 1)
    assert breaker.state(0) == "closed"
    fail(breaker, 1)
    assert breaker.state(0) == "open"


def test_after_its_pause_two_single_successes_close_it() -> None:
    breaker = Breaker()
    fail(breaker, 5)
    assert breaker.state(60) == "half-open"
    assert breaker.enter(60)
    assert not breaker.enter(60)
    breaker.succeeded()
    succeed(breaker, 1, 61)
    assert breaker.state(61) == "closed"
    fail(breaker, 4, 62)
    assert breaker.state(62) == "closed"


def test_a_failed_trial_opens_it_anew() -> None:
    breaker = Breaker()
    fail(breaker, 5)
    succeed(breaker, 1, 60)
    fail(breaker, 1, 61)
    assert not breaker.enter(120.9)
    assert breaker.enter(121)


def test_a_call_that_was_not_made_leaves_room_for_the_next_trial() -> None:
    breaker = Breaker()
    fail(breaker, 5)
    assert breaker.enter(60)
    breaker.left()
    assert breaker.enter(60)


@given(st.lists(st.sampled_from(["good", "bad", "left", "wait"]), max_size=200))
def test_whatever_came_before_it_closes_again(steps: list[str]) -> None:
    breaker, now = Breaker(), 0.0
    for step in steps:
        now += 61.0 if step == "wait" else 0.1
        if step == "wait" or not breaker.enter(now):
            continue
        if step == "bad":
            breaker.failed(now)
        else:
            {"good": breaker.succeeded, "left": breaker.left}[step]()
    succeed(breaker, 2, now + 61)
    assert breaker.state(now + 61) == "closed"


@pytest.mark.parametrize("last", [4, 20])
def test_the_share_counts_only_when_the_window_is_full(last: int) -> None:
    breaker = Breaker(in_a_row=100, last=last)
    fail(breaker, last - 1)
    assert breaker.state(0) == "closed"
    fail(breaker, 1)
    assert breaker.state(0) == "open"
