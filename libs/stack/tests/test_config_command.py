"""The configuration file that `heliograph init` writes, and what `heliograph config check` finds."""

import json
import tomllib
from pathlib import Path

import pytest

from heliograph.common.config import load
from heliograph.common.errors import ConfigError, InputError
from heliograph.stack.commands.config import check, init, text
from heliograph.stack.services import SERVICES
from heliograph.stack.settings_list import every_setting, settings_of


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for setting in every_setting():
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.setenv("HELIOGRAPH_DATA", str(tmp_path))


def report(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_the_file_changes_nothing_until_a_line_is_uncommented() -> None:
    assert init() == 0
    assert tomllib.loads(Path("heliograph.toml").read_text(encoding="utf-8")) == {}
    assert check() == 0


@pytest.mark.parametrize("service", SERVICES)
def test_every_line_uncommented_gives_the_defaults(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load(settings_of(service)).model_dump()
    keys = {s.key: s for s in every_setting() if s.kind == "value"}
    lines = [line[2:] for line in text().splitlines() if line[2:].partition(" = ")[0] in keys]
    assert len(lines) == len([s for s in keys.values() if not s.secret])
    Path("other.toml").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setenv("HELIOGRAPH_CONFIG", "other.toml")
    assert load(settings_of(service)).model_dump() == defaults


def test_no_secret_is_written() -> None:
    secrets = [s.key for s in every_setting() if s.secret]
    assert "nats_password" in secrets
    assert not any(f"{key} =" in text() for key in secrets)


def test_a_file_that_is_there_stays_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("gate = 1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.toml is there"):
        init(path)
    assert path.read_text(encoding="utf-8") == "gate = 1\n"
    assert init(path, force=True) == 0
    with pytest.raises(InputError, match="No such file"):
        init(tmp_path / "no" / "folder.toml")


def test_a_wrong_value_a_misspelt_key_and_a_misspelt_variable_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("heliograph.toml").write_text("shards = 0\nbatch_mesages = 5\n", encoding="utf-8")
    monkeypatch.setenv("HELIOGRAPH_LOGLEVEL", "info")
    assert check(json=True) == 1
    found = report(capsys)
    assert "shards: 0" in str(found["services"])
    assert found["unknown"] == [
        "heliograph.toml: batch_mesages: no such setting; is it batch_messages?",
        "environment: HELIOGRAPH_LOGLEVEL: no such setting; is it HELIOGRAPH_LOG_LEVEL?",
    ]
    assert check() == 1
    assert "is it batch_messages?" in capsys.readouterr().out


def test_a_file_that_is_no_toml_is_refused() -> None:
    Path("heliograph.toml").write_text("shards == 5", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"heliograph\.toml"):
        check()
