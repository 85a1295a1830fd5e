"""`heliograph outcomes` as a user sees it."""

import json
import sys
from typing import Any

import pytest
from rich.console import Console

from heliograph.common.bus import Bus
from heliograph.common.errors import InputError
from heliograph.stack.commands import outcomes as command
from heliograph.stack.commands.outcomes import collect, outcomes, show

GROUP = {
    "key": "BULL",
    "signals": 1234,
    "open": 4,
    "overdue": 0,
    "outcomes": 1230,
    "wins": 500,
    "losses": 700,
    "expired": 30,
    "win_rate": 500 / 1200,
    "coverage": 1.0,
    "profit_factor": 1.084,
    "pnl_net": -0.123,
    "r_multiple": 0.051,
    "bars": 9.5,
}
EMPTY = (
    GROUP
    | dict.fromkeys(("win_rate", "coverage", "profit_factor", "pnl_net", "r_multiple"))
    | {"key": "BEAR"}
)


async def test_it_asks_the_tracker(bus: Bus) -> None:
    async def answer(body: bytes) -> bytes:
        if json.loads(body)["symbol"]:
            return json.dumps({"error": "symbol: no", "type": "InputError"}).encode()
        return json.dumps({"groups": [GROUP]}).encode()

    await bus.respond("query.tracker.statistics", answer)
    assert await collect(bus, {"by": "regime", "symbol": None}) == [GROUP]
    with pytest.raises(InputError, match="symbol: no"):
        await collect(bus, {"by": "regime", "symbol": "x"})


def test_a_group_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show(Console(file=sys.stdout, width=140), [GROUP, EMPTY])
    _, line, empty = capsys.readouterr().out.splitlines()
    figures = ["BULL", "1,234", "4", "500", "700", "30", "41.7%", "100.0%", "1.08", "-0.12", "+0.05"]
    assert line.split() == figures
    assert empty.split()[-5:] == ["–"] * 5
    show(Console(file=sys.stdout), [])
    assert capsys.readouterr().out == "no signals\n"


def test_its_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def found(_: object, query: dict[str, object], groups: list[dict[str, Any]]) -> None:
        assert query == {"by": "bucket", "symbol": None, "strategy": None, "limit": 5}
        groups.append(GROUP)

    monkeypatch.setattr(command, "_ask", found)
    assert outcomes(by="bucket", limit=5, json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"groups": [GROUP]}
