"""`heliograph signals open` as a user sees it."""

import sys

import pytest
from rich.console import Console

from heliograph.common.errors import InputError
from heliograph.common.standing import Position, Standing
from heliograph.stack.commands.open_signals import open_signals, show

HELD = Position(
    signal="0123456789abcdef",
    symbol="[b]",
    action="SELL",
    entry=100.0,
    stop=103.0,
    target=94.0,
    opened=1_500_000_000 * 10**9,
    expires=1_600_000_000 * 10**9,
    last=101.5,
    ts=1_500_086_400 * 10**9,
    pnl=-1.5,
    r_multiple=-0.5,
    best=0.25,
    worst=-2.0,
    bars=3,
)


def told(found: Standing, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show(Console(file=sys.stdout, width=160), found)
    return capsys.readouterr().out.splitlines()


def test_each_is_a_line_and_the_sums_stand_below(capsys: pytest.CaptureFixture[str]) -> None:
    sums = {"total": 4, "ahead": 1, "pnl": -2.0, "r_multiple": -0.75}
    _, one, last = told(Standing(positions=[HELD], missing_shards=[], **sums), capsys)  # type: ignore[arg-type]  # ints and floats
    assert one.split() == [
        *("2017-07-14", "02:40", "[b]", "0123456789abcdef", "SELL"),
        *("100", "103", "94", "101.5", "-0.50", "-1.50", "+0.25", "-2.00", "3"),
    ]
    assert last == "4 open, 1 ahead; -0.75 R in all, -0.500 % each on the mean, before costs"


def test_what_is_not_known_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(Standing(positions=[], missing_shards=[1, 3]), capsys) == [
        "shards 1, 3: their owner does not answer",
        "no signal is open",
    ]


@pytest.mark.parametrize(("options", "named"), [({"limit": 0}, "limit: 0"), ({"symbol": ""}, "symbol: ''")])
def test_what_is_wrong_is_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        open_signals(**options)  # type: ignore[arg-type]  # wrong ones
