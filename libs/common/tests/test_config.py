"""Environment over file over defaults, and errors that name the key."""

from pathlib import Path

import pytest
from pydantic import Field

from heliograph.common.config import Settings, from_env, load
from heliograph.common.errors import ConfigError


class Example(Settings):
    """Settings with one of each kind."""

    limit: int = Field(3, ge=1)
    store_url: str = Field("none", validation_alias=from_env("STORE_URL"))


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("HELIOGRAPH_CONFIG", "HELIOGRAPH_LIMIT", "STORE_URL", "NATS_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_environment_over_file_over_defaults(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(Example).limit == 3
    (empty_folder / "heliograph.toml").write_text(
        'limit = 5\nstore_url = "file"\nnats_url = "nats://file:1"\n'
    )
    assert (load(Example).limit, load(Example).store_url, load(Example).nats_url) == (
        5,
        "file",
        "nats://file:1",
    )
    monkeypatch.setenv("HELIOGRAPH_LIMIT", "7")
    monkeypatch.setenv("STORE_URL", "environment")
    assert (load(Example).limit, load(Example).store_url) == (7, "environment")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("HELIOGRAPH_LIMIT", "0", r"limit: '0', input should be greater than or equal to 1"),
        ("HELIOGRAPH_LIMIT", "many", r"limit: 'many', input should be a valid integer"),
        ("HELIOGRAPH_SHARDS", "-4", r"shards: '-4'"),
    ],
)
def test_a_bad_value_names_its_key(
    monkeypatch: pytest.MonkeyPatch, key: str, value: str, message: str
) -> None:
    monkeypatch.setenv(key, value)
    with pytest.raises(ConfigError, match=message):
        load(Example)


def test_a_named_file_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_CONFIG", "absent.toml")
    with pytest.raises(ConfigError, match=r"HELIOGRAPH_CONFIG: 'absent.toml' is not a file"):
        load(Example)


def test_a_file_that_is_not_toml_is_refused(empty_folder: Path) -> None:
    (empty_folder / "heliograph.toml").write_text("limit == 5")
    with pytest.raises(ConfigError, match="configuration"):
        load(Example)


def test_passwords_do_not_show() -> None:
    assert "hunter2" not in repr(Example(nats_password="hunter2"))


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Secretive(Settings):
        """Settings with a secret."""

        store_url: str = Field("", validation_alias=from_env("STORE_URL"), pattern="^postgres", repr=False)

    monkeypatch.setenv("STORE_URL", "mysql://me:hunter2@host")
    with pytest.raises(ConfigError, match=r"STORE_URL: \(not shown\)") as refused:
        load(Secretive)
    assert "hunter2" not in str(refused.value)
