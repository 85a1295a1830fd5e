"""`heliograph calibration`: the tracker's answer as a table and as JSON."""

from typing import Any

import msgspec
import pytest
from rich.console import Console

from heliograph.common.bus import Bus
from heliograph.common.errors import InputError
from heliograph.stack.commands import calibration as command
from heliograph.stack.commands.calibration import SUBJECT, collect, show


def figures(count: int, brier: float) -> dict[str, Any]:
    empty = {"low": 0.0, "high": 6.67, "count": 0, "forecast": None, "win_rate": None}
    full = {"low": 40.0, "high": 46.67, "count": count, "forecast": 41.3, "win_rate": 39.8}
    return {
        "count": count,
        "brier": brier,
        "ece": 0.05,
        "log_loss": 0.68,
        "bins": [empty, full],
        "buckets": [],
    }


def in_use(**changes: Any) -> dict[str, Any]:
    return {
        "strategy": "default@1",
        "version": "0123456789abcdef",
        "since": 1,
        "until": 2,
        "outcomes": 1530,
        "symbols": 2,
        "raw": [75.0],
        "win": [40.0],
        "trained": "2026-01-02T03:04:05Z",
        "trial": {"raw": figures(306, 0.41), "candidate": figures(306, 0.24), "current": figures(306, 0.25)},
        "refused": 3,
        "days": 90,
        "published": {"raw": None, "calibrated": None},
    } | changes


def shown(calibrations: list[dict[str, Any]]) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        show(console, calibrations)
    return captured.get()


def test_scores_and_reliability_are_shown() -> None:
    text = shown([in_use()])
    assert "default@1  version 0123456789abcdef of 2026-01-02T03:04:05Z, from 1,530 outcomes" in text
    assert "2 symbols with a curve of their own, 3 candidates refused since" in " ".join(text.split())
    assert "newest outcomes, raw" in text
    assert "0.4100" in text
    assert "0.2400" in text
    assert "0.2500" not in text
    assert "as published" not in text
    assert "41.3 %" in text
    assert "39.8 %" in text


def test_what_was_published_tells_more_than_the_trial() -> None:
    published = {"raw": figures(77, 0.43), "calibrated": figures(77, 0.23)}
    text = shown([in_use(published=published)])
    assert "as published, calibrated" in text
    assert "0.2300" in text
    assert "77" in text.splitlines()[-1]


def test_without_any_it_says_what_it_takes() -> None:
    assert "no calibration yet" in shown([])


async def test_the_tracker_is_asked(bus: Bus) -> None:
    async def answer(body: bytes) -> bytes:
        query = msgspec.json.decode(body)
        if query["strategy"] == "odd":
            raise InputError("strategy: 'odd'")
        return msgspec.json.encode({"calibrations": [in_use(strategy=query["strategy"] or "default@1")]})

    await bus.respond(SUBJECT, answer)
    assert await collect(bus, None) == [in_use()]
    assert await collect(bus, "other@2") == [in_use(strategy="other@2")]
    with pytest.raises(InputError, match="odd"):
        await collect(bus, "odd")


def test_its_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def found(_: object, strategy: str | None, calibrations: list[dict[str, Any]]) -> None:
        assert strategy == "default@2"
        calibrations.append(in_use())

    monkeypatch.setattr(command, "_ask", found)
    assert command.calibration(strategy="default@2", json=True) == 0
    assert msgspec.json.decode(capsys.readouterr().out) == {"calibrations": [in_use()]}
