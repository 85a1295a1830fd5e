"""What commands print to: wide enough that no head and no figure of a table is cut."""

import msgspec
import pytest

from heliograph.common.standing import Standing
from heliograph.stack.commands import open_signals, outcomes
from heliograph.stack.terminal import WIDTH, wide

from .test_open_signals import HELD
from .test_outcomes import GROUP


@pytest.mark.parametrize(("columns", "width"), [(80, WIDTH), (200, 200)])
def test_a_narrow_output_is_taken_as_wide(monkeypatch: pytest.MonkeyPatch, columns: int, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert wide().width == width


def test_tables_are_whole_where_the_output_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcomes.show(wide(), [GROUP])
    held = msgspec.structs.replace(HELD, symbol="BTC/USDT", entry=39082.5, stop=40255.1, r_multiple=-0.001)
    open_signals.show(wide(), Standing(positions=[held], missing_shards=[], total=1))
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert "profit factor" in shown
    assert "BTC/USDT 0123456789abcdef" in shown
    assert "+0.00" in shown
    assert "-0.00" not in shown.splitlines()[3]
