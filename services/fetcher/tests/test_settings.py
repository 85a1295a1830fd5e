"""The fetcher's settings from the environment: a bad value names its key."""

from typing import get_args

import pytest

from heliograph.common.config import load
from heliograph.common.errors import ConfigError
from heliograph.fetcher.live.registry import LIVE
from heliograph.fetcher.settings import FetcherSettings


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test sets, and the folder that is always needed."""
    monkeypatch.setenv("HELIOGRAPH_DATA", "bars")


@pytest.mark.parametrize(("text", "speed"), [("max", "max"), ("86400", 86_400.0), ("0.5", 0.5)])
def test_speed_is_max_or_a_factor(monkeypatch: pytest.MonkeyPatch, text: str, speed: str | float) -> None:
    monkeypatch.setenv("HELIOGRAPH_SPEED", text)
    assert load(FetcherSettings).speed == speed


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SPEED", "fast"),
        ("SPEED", "0"),
        ("SPEED", "-1"),
        ("SPEED", "inf"),
        ("SPEED", "nan"),
        ("HISTORY_DAYS", "-1"),
        ("HISTORY_DAYS", "nan"),
        ("WINDOW_MESSAGES", "0"),
        ("WINDOW_MESSAGES", "1001"),
        ("BARS_AHEAD", "0"),
        ("PROVIDER", "nobody"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, key: str, value: str) -> None:
    monkeypatch.setenv(f"HELIOGRAPH_{key}", value)
    with pytest.raises(ConfigError, match=rf"{key.lower()}.*{value}"):
        load(FetcherSettings)


def test_the_folder_must_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HELIOGRAPH_DATA")
    with pytest.raises(ConfigError, match="data"):
        load(FetcherSettings)


def test_a_live_provider_needs_symbols_and_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HELIOGRAPH_DATA")
    monkeypatch.setenv("HELIOGRAPH_PROVIDER", "massive")
    with pytest.raises(ConfigError, match=r"symbols: .*expected at least one"):
        load(FetcherSettings)
    monkeypatch.setenv("HELIOGRAPH_SYMBOLS", '["AAPL", "BRK.B", "AAPL"]')
    assert load(FetcherSettings).symbols == ("AAPL", "BRK.B")
    monkeypatch.setenv("HELIOGRAPH_SYMBOLS", '["AAPL", ""]')
    with pytest.raises(ConfigError, match=r"symbols: .*1 to 64 bytes"):
        load(FetcherSettings)


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASSIVE_API_KEY", "very secret")
    monkeypatch.setenv("HELIOGRAPH_SYMBOLS", '[""]')
    with pytest.raises(ConfigError) as raised:
        load(FetcherSettings)
    assert "very secret" not in str(raised.value)
    monkeypatch.delenv("HELIOGRAPH_SYMBOLS")
    assert "very secret" not in repr(load(FetcherSettings))


def test_every_provider_of_the_setting_is_there() -> None:
    kinds = FetcherSettings.model_fields["provider"].annotation
    assert set(get_args(kinds)) == {"replay", *LIVE}
