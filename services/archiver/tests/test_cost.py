"""Seven years of archive, by hand and by law."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.archiver.archive.cost import GB, LEAST_MOVED_BYTES, MONTH_DAYS, Size, cost
from heliograph.archiver.archive.lifecycle import Plan


def test_the_first_month_is_all_in_standard_but_for_its_end() -> None:
    found = cost([Size(GB, 1)], Plan(), months=1)
    days = MONTH_DAYS
    assert found.standard == pytest.approx(0.023 * days, abs=1e-4)
    assert found.tiered == pytest.approx(0.023 * 30 + 0.0125 * (days - 30), abs=1e-4)


def test_the_last_month_of_seven_years_by_hand() -> None:
    daily, months = 1.0 * GB, 84
    whole, before = cost([Size(daily, 1)], Plan(), months), cost([Size(daily, 1)], Plan(), months - 1)
    age = months * MONTH_DAYS
    by_hand = 30 * 0.023 + 335 * 0.0125 + (2555 - 365) * 0.004 + max(0, age - 2555) * 0.00099
    assert whole.tiered - before.tiered == pytest.approx(by_hand, abs=1e-3)
    assert whole.standard - before.standard == pytest.approx(age * 0.023, abs=1e-3)


def test_five_megabytes_a_day_for_seven_years_are_not_a_flat_forty_cents_a_month() -> None:
    found = cost([Size(5e6, 1)], Plan())
    assert found.standard == pytest.approx(
        sum(m * MONTH_DAYS * 5e6 / GB * 0.023 for m in range(1, 85)), rel=1e-4
    )
    assert len(found.years) == 7
    assert found.years[-1].gigabytes == pytest.approx(12.78, abs=0.01)
    assert found.saved > 0.7


def test_small_objects_are_not_moved_and_save_nothing() -> None:
    small = cost([Size(1000 * 4_000.0, 1000)], Plan())
    assert (small.moved, small.saved) == (0.0, 0.0)
    both = cost([Size(1000 * 4_000.0, 1000), Size(4e6, 1)], Plan())
    assert both.moved == 0.5
    assert 0 < both.saved < 0.5


sizes = st.lists(
    st.builds(Size, st.floats(1, 1e12), st.floats(0.1, 1e4)),
    min_size=1,
    max_size=4,
)


@given(sizes, st.integers(1, 120))
def test_a_lifecycle_never_costs_more_and_years_add_up(given: list[Size], months: int) -> None:
    found = cost(given, Plan(), months)
    assert found.tiered <= found.standard * (1 + 1e-9) + 1e-3
    assert sum(y.tiered for y in found.years) == pytest.approx(found.tiered, rel=1e-3, abs=1e-2)
    moved = sum(s.bytes for s in given if s.bytes / s.objects >= LEAST_MOVED_BYTES)
    assert found.moved == pytest.approx(moved / sum(s.bytes for s in given), abs=1e-3)


def test_what_expires_costs_nothing_more() -> None:
    kept = cost([Size(1e9, 1)], Plan(), 200)
    expiring = cost([Size(1e9, 1)], Plan(expire=2556), 200)
    assert expiring.tiered < kept.tiered
