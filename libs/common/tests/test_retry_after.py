"""How long a provider asks to wait, in every form, and whatever else it sends."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.clock import NANOSECONDS
from heliograph.common.retry_after import LONGEST_S, retry_after

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * NANOSECONDS


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "Mon, 02 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Monday, 02-Mar-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon Mar  2 12:00:30 2026"}, 30.0),
        ({"retry-after": "Mon, 02 Mar 2026 11:00:30 GMT"}, 0.0),
        ({"retry-after": "Mon, 02 Mar 2099 12:00:30 GMT"}, LONGEST_S),
        ({"retry-after": "9" * 400}, LONGEST_S),
        ({"retry-after": "86401"}, LONGEST_S),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], wait: float | None) -> None:
    assert retry_after(headers, NOW_NS) == wait


@given(st.integers(0, 2 * int(LONGEST_S)))
def test_a_date_says_what_its_seconds_say(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after({"retry-after": date}, NOW_NS) == retry_after({"retry-after": str(seconds)}, NOW_NS)


DATE = st.from_regex(
    r"[A-Z][a-z]{2}, [0-9]{1,3} (Jan|Dec) [0-9]{1,25} [0-9]{1,2}:[0-9]{2}(:[0-9]{2})? (GMT|[+-][0-9]{1,12})",
    fullmatch=True,
)
ANYTHING = st.text(max_size=20) | DATE | st.floats().map(str) | st.integers().map(str)


@given(ANYTHING, ANYTHING)
def test_whatever_comes_is_a_bounded_wait_or_none(text: str, milliseconds: str) -> None:
    wait = retry_after({"retry-after": text, "retry-after-ms": milliseconds}, NOW_NS)
    assert wait is None or 0.0 <= wait <= LONGEST_S
