"""`heliograph analyze`: on the sample at once, and through a running stack."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import InputError
from heliograph.reasoning.panel.service import PanelService
from heliograph.reasoning.settings import ReasoningSettings
from heliograph.stack.commands.analyze import analyze
from heliograph.stack.options import SAMPLE_FOLDER
from heliograph.stack.stack import Stack

SAMPLE = next(p / SAMPLE_FOLDER for p in Path(__file__).resolve().parents if (p / SAMPLE_FOLDER).is_dir())


def test_it_works_at_once_on_the_sample(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert analyze("SNOW", "AAPL", json=True, data=SAMPLE, state=tmp_path) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert err == ""
    assert answer["asof"] == "2025-05-30"
    snow, apple = answer["verdicts"]
    assert (snow["ticker"], snow["agents"], snow["action"]) == ("SNOW", 11, "hold")
    assert {p["signal"] for p in apple["predictions"]} == {"abstain"}
    assert len(snow["predictions"]) == 15


def test_a_person_sees_each_agent_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    day = "2018-02-07"
    assert (
        analyze("AAPL", agents="technicals, ben_graham", to=day, from_=day, data=SAMPLE, state=tmp_path) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:4]] == ["1/4", "2/4", "3/4", "4/4"]
    assert lines[0].split()[3] == "technicals"
    assert "AAPL on 2018-02-07" in lines
    assert any(line.startswith("short ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"to": "yesterday"}, "to: 'yesterday'"),
        ({"from_": "2019-01-01", "to": "2018-01-01"}, "from"),
        ({"agents": "nobody"}, "nobody"),
        ({"to": "2999-01-01"}, "2999"),
        ({"portfolio": Path("nowhere.json")}, "portfolio: .*nowhere.json.*, expected JSON such as"),
    ],
)
def test_what_is_wrong_is_named(arguments: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        analyze("SNOW", data=SAMPLE, state=tmp_path, **arguments)


def test_an_unknown_ticker_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tickers: 'NOPE', expected"):
        analyze("SNOW", "NOPE", data=SAMPLE, state=tmp_path)


def test_what_is_held_limits_what_may_be_done(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    held = tmp_path / "held.json"
    held.write_text('{"cash": 0, "positions": {"AAPL": {"long": 7}}}')
    day = "2018-02-07"
    assert (
        analyze("AAPL", agents="technicals", to=day, portfolio=held, json=True, data=SAMPLE, state=tmp_path)
        == 0
    )
    [verdict] = json.loads(capsys.readouterr().out)["verdicts"]
    # Without the shares it goes short; with them, and no cash for a margin, it sells what there is.
    assert (verdict["action"], verdict["quantity"]) == ("sell", 7)


async def test_a_running_stack_does_it(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    bus = await stack.connect()
    await bus.ensure_streams()
    service = PanelService(ReasoningSettings(panel_data=str(SAMPLE), shards=4), bus, SYSTEM_CLOCK)
    await service.start()
    arguments = ("analyze", "SNOW", "--state", str(stack.state.folder))
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("heliograph")),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    await service.stop()
    assert process.returncode == 0, err.decode()
    lines = out.decode().splitlines()
    assert service.answered == 1
    assert sum("/17 SNOW" in line for line in lines) == 17
    assert any(line.startswith("SNOW on 2025-05-30") for line in lines)
    assert await bus.last_seq("ANALYSIS") >= 17
    await bus.close()
