"""Speeds, folders and numbers from the command line."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.errors import InputError
from heliograph.stack.options import (
    PLEASANT_SPEED,
    SAMPLE,
    SAMPLE_FOLDER,
    Options,
    check,
    check_folder,
    describe,
    parse_speed,
    sample_folder,
)


def test_max_is_no_pace() -> None:
    assert parse_speed("max") is None


@given(st.floats(min_value=1e-6, max_value=1e12), st.sampled_from(["", "x"]))
def test_a_factor_is_read_with_or_without_its_x(factor: float, suffix: str) -> None:
    assert parse_speed(f"{factor!r}{suffix}") == factor


@pytest.mark.parametrize("text", ["", "x", "0", "0x", "-1x", "nan", "inf", "fast", "1xx", "Max"])
def test_a_wrong_speed_is_named(text: str) -> None:
    with pytest.raises(InputError, match=r"speed: .*expected `max` or a positive factor"):
        parse_speed(text)


@pytest.mark.parametrize(
    ("speed", "words"),
    [
        (None, "max"),
        (1.0, "1 times the real one"),
        (86_400.0, "1 days"),
        (PLEASANT_SPEED, "5 days of bars a second"),
    ],
)
def test_a_speed_in_words(speed: float | None, words: str) -> None:
    assert words in describe(speed)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data: '.*nowhere' is not a folder"):
        check_folder(tmp_path / "nowhere")


def test_a_folder_without_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text("")
    with pytest.raises(InputError, match=r"no \*\.parquet file"):
        check_folder(tmp_path)


def test_the_sample_is_found_where_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bars.parquet").write_bytes(b"")
    monkeypatch.setenv(SAMPLE, str(tmp_path))
    assert sample_folder() == tmp_path.resolve()


def test_the_sample_is_found_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SAMPLE, raising=False)
    (tmp_path / SAMPLE_FOLDER).mkdir(parents=True)
    (tmp_path / SAMPLE_FOLDER / "bars.parquet").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert sample_folder() == (tmp_path / SAMPLE_FOLDER).resolve()


def test_the_sample_is_found_in_the_source_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SAMPLE, raising=False)
    monkeypatch.chdir(tmp_path)
    assert (sample_folder() / "sp500_daily.parquet").is_file()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shards", 0),
        ("shards", 1025),
        ("replicas", 0),
        ("replicas", 17),
        ("gateway_port", -1),
        ("gateway_port", 65_536),
    ],
)
def test_a_number_out_of_range_is_named(field: str, value: int) -> None:
    changed: dict[str, Any] = {field: value}
    options = Options(data=Path(), speed=None, **changed)
    with pytest.raises(InputError, match=f"{field.removeprefix('gateway_')}: {value}, expected"):
        check(options)


def test_pleasant_is_minutes_for_the_sample() -> None:
    seven_years_s = 6.7 * 365.25 * 86_400
    assert 5 <= seven_years_s / PLEASANT_SPEED / 60 <= 10
    assert math.isfinite(PLEASANT_SPEED)
