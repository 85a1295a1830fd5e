"""What the kernel decides by a short way is what the plain rule says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.outcomes import OPEN, close_by_bar
from heliograph.consensus.engine.kernel import untouched
from heliograph.consensus.engine.layout import LINE, SYMBOL
from heliograph.consensus.engine.state import State, blank

LEVELS = st.integers(1, 12)


@given(st.lists(LEVELS, min_size=4, max_size=4), LEVELS, LEVELS, st.sampled_from((-1, 1)), st.integers(0, 4))
def test_a_bar_leaves_a_signal_open_where_the_outcome_rule_does(
    levels: list[int], stop: int, target: int, side: int, expires: int
) -> None:
    low, open_, close, high = (float(level) for level in sorted(levels))
    result, _ = close_by_bar(side, float(stop), float(target), expires, 1, 2, open_, high, low, close)
    assert untouched(side, float(stop), float(target), expires, 2, high, low) == (result == OPEN)


@pytest.mark.parametrize("count", [1, 5])
def test_a_record_begins_with_a_cache_line(count: int) -> None:
    """Else each bar would read one line more."""
    records = blank(count)
    assert len(records) == count
    assert SYMBOL.itemsize % LINE == 0
    assert records.ctypes.data % LINE == 0


def test_records_stay_what_they_are_when_there_is_made_room() -> None:
    state = State(1)
    state.add(["A"])
    state.symbols["close"][0] = 5.0
    state.add([f"S{n}" for n in range(40)])
    assert state.symbols.ctypes.data % LINE == 0
    assert state.symbols["close"].tolist() == [5.0] + [0.0] * (len(state.symbols) - 1)
    assert np.count_nonzero(state.symbols["key"]) == 41
