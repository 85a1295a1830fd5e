"""`heliograph verify` as a user sees it: against owners that answer page by page."""

import asyncio
import json
import sys
from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest
from rich.console import Console

from heliograph.common.bus import Bus
from heliograph.common.errors import UnavailableError
from heliograph.stack.commands import verify as command
from heliograph.stack.commands.verify import Report, collect, show, verify

FINDING = {
    "kind": "altered",
    "record": "signals",
    "key": "91355b2b896c02ac",
    "detail": "regime: 'BEAR', expected 'BULL'",
    "shard": 1,
}


@pytest.fixture
async def pages(bus: Bus) -> list[dict[str, Any]]:
    """A tracker that answers with these pages, one after the other; the requests that it got."""
    asked: list[dict[str, Any]] = []
    answers = [
        {"rows": 2000, "blocks": 8, "days": 0, "findings": [], "cursor": {"stage": "blocks", "number": 8}},
        {"rows": 10, "blocks": 1, "days": 0, "findings": [FINDING], "cursor": {"stage": "days"}},
        {"rows": 0, "blocks": 0, "days": 1, "findings": [], "cursor": None},
    ]

    async def answer(body: bytes) -> bytes:
        asked.append(json.loads(body))
        return json.dumps(answers[len(asked) - 1]).encode()

    async def refused(_: bytes) -> bytes:
        return json.dumps({"total": 3, "newest": []}).encode()

    await bus.respond("query.tracker.verify", answer)
    await bus.respond("query.tracker.refusals", refused)
    return asked


async def test_it_goes_on_where_a_page_ends(bus: Bus, pages: list[dict[str, Any]]) -> None:
    report = Report(full=True)
    await collect(bus, report)
    assert [body["cursor"] for body in pages] == [{}, {"stage": "blocks", "number": 8}, {"stage": "days"}]
    assert all(body["full"] for body in pages)
    assert (report.rows, report.blocks, report.days, report.refused, report.ok) == (2010, 9, 1, 3, False)
    assert [finding.key for finding in report.findings] == [FINDING["key"]]


async def test_without_a_tracker_it_says_so(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PAGE_WITHIN_S", 0.3)
    with pytest.raises(UnavailableError, match=r"query.tracker.verify"):
        await collect(bus, Report(full=False))


def test_a_finding_is_one_line_with_its_row_and_its_difference(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(full=True, ok=False, rows=10, findings=[msgspec.convert(FINDING, command.Finding)])
    show(Console(file=sys.stdout), report)
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("altered    signals 91355b2b896c02ac is not as it was written: regime: 'BEAR'")
    assert last.startswith("1 findings: 10 rows in")


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_its_exit_code_and_json(
    *, ok: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def found(_: object, report: Report) -> None:
        report.ok = ok

    monkeypatch.setattr(command, "_verify", found)
    assert verify(full=True, json=True) == code
    assert json.loads(capsys.readouterr().out)["ok"] is ok


def test_an_interruption_has_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(work: Awaitable[None]) -> bool:
        asyncio.ensure_future(work).cancel()
        return True

    monkeypatch.setattr(command, "until_interrupted", interrupted)
    assert verify() == command.INTERRUPTED
