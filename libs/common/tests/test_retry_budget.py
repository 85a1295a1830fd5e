"""The budget of retries: never more than the floor and a share of the calls, never fewer either."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.retry_budget import CALLS_A_RETRY, FLOOR, MOST, RetryBudget

STEPS = st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=60)


def allowed(budget: RetryBudget, steps: list[tuple[bool, int]]) -> list[tuple[int, int]]:
    """Calls and retries of each step: that many calls, or that many attempts to retry."""
    done: list[tuple[int, int]] = []
    for is_call, times in steps:
        if is_call:
            for _ in range(times):
                budget.called()
            done.append((times, 0))
        else:
            done.append((0, sum(budget.take() for _ in range(times))))
    return done


@given(STEPS, st.integers(0, 5), st.integers(1, 7), st.integers(5, 40))
def test_retries_never_exceed_the_floor_and_a_share_of_the_calls(
    steps: list[tuple[bool, int]], floor: int, calls_a_retry: int, most: int
) -> None:
    done = allowed(RetryBudget(floor=floor, calls_a_retry=calls_a_retry, most=most), steps)
    for calls, retries in accumulate(done, lambda a, b: (a[0] + b[0], a[1] + b[1])):
        assert retries * calls_a_retry <= floor * calls_a_retry + calls
    for start in range(len(done)):
        for calls, retries in accumulate(done[start:], lambda a, b: (a[0] + b[0], a[1] + b[1])):
            assert retries * calls_a_retry <= most * calls_a_retry + calls


@given(STEPS, st.integers(0, 5), st.integers(1, 7))
def test_whoever_stays_within_it_is_not_refused(
    steps: list[tuple[bool, int]], floor: int, calls_a_retry: int
) -> None:
    budget = RetryBudget(floor=floor, calls_a_retry=calls_a_retry, most=10**6)
    calls = retries = 0
    for is_call, times in steps:
        for _ in range(times):
            if is_call:
                budget.called()
                calls += 1
            else:
                within = (retries + 1) * calls_a_retry <= floor * calls_a_retry + calls
                assert budget.take() is within
                retries += within


@pytest.mark.parametrize(("calls", "expected"), [(0, FLOOR), (4, FLOOR), (5, FLOOR + 1), (10**4, MOST)])
def test_what_is_saved_by_default(calls: int, expected: int) -> None:
    budget = RetryBudget()
    for _ in range(calls):
        budget.called()
    assert sum(budget.take() for _ in range(2 * MOST)) == expected
    assert CALLS_A_RETRY == 5
    assert not budget.take()
