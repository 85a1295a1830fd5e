"""`heliograph health`: what passes, what fails and how it is told."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from heliograph.common.errors import InputError
from heliograph.stack import health as checks
from heliograph.stack.commands.health import examine, health
from heliograph.stack.figures import Replica
from heliograph.stack.settings_list import every_setting
from heliograph.stack.stack import Stack
from heliograph.stack.state import State


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for setting in every_setting():
        monkeypatch.delenv(setting.variable, raising=False)


def states(found: list[checks.Check]) -> dict[str, str]:
    return {check.name: check.state for check in found}


def test_level_1_needs_no_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert health(level=1, json=True, state=tmp_path / "none" / "yet") == 0
    found = json.loads(capsys.readouterr().out)
    assert {check["state"] for check in found} == {"pass"}
    assert {"python", "disk", "configuration of tracker"} <= {check["name"] for check in found}
    assert "HELIOGRAPH_DATA" not in os.environ


def test_a_wrong_setting_and_a_full_disk_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HELIOGRAPH_SHARDS", "0")
    monkeypatch.setattr(checks, "LEAST_DISK_BYTES", 1 << 60)
    assert health(level=1, state=tmp_path) == 1
    printed = capsys.readouterr().out
    assert "fail     configuration of gateway     configuration: shards: '0'" in printed
    assert f"expected {1 << 60:,}" in printed


def test_without_a_stack_level_2_says_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert health(state=tmp_path) == 1
    assert "heliograph up" in capsys.readouterr().out


@pytest.mark.parametrize("level", [0, 4])
def test_another_level_is_refused(level: int) -> None:
    with pytest.raises(InputError, match=f"level: {level}, expected 1, 2 or 3"):
        health(level=level)


async def test_engines_without_services_page_and_tracker_are_not_healthy(stack: Stack, state: State) -> None:
    bus = await stack.connect()
    await bus.ensure_streams()
    told = states(await examine(state, 2))
    assert (told["shards"], told["lag of SIGNAL"]) == ("fail", "pass")
    run: Any = state.run()
    run.urls["gateway"] = "http://127.0.0.1:1"
    found = await checks.depth(bus, run)
    await bus.close()
    told = states(found)
    assert [told[name] for name in ("page", "api", "outcomes", "calibration", "integrity")] == ["fail"] * 5
    assert told["keys"] == "skipped"


@pytest.mark.parametrize(("health", "state"), [("healthy", "pass"), ("degraded", "fail"), (None, "fail")])
def test_a_provider_is_as_its_fetcher_sees_it(health: str | None, state: str) -> None:
    status = {"provider": "replay"} | ({"health": health} if health else {})
    replica = Replica(service="fetcher", member="f", ready=True, shards=[0], status=status)
    check = checks._provider(replica)
    assert (check.name, check.state) == ("provider replay of f", state)


@pytest.mark.parametrize(
    ("age", "state"), [(None, "skipped"), (0, "pass"), (86_400, "pass"), (86_401, "fail")]
)
def test_the_archive_may_be_a_day_old(age: int | None, state: str) -> None:
    replica = Replica(service="archiver", member="a", ready=True, shards=[0], status={"archive_age_s": age})
    assert checks._archive(replica).state == state
