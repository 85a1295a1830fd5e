"""`heliograph verify`: has the record checked against its hashes, and names what does not agree."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console

from heliograph.common.bus import Bus
from heliograph.stack.commands.connection import connected
from heliograph.stack.commands.interrupt import until_interrupted
from heliograph.stack.state import DEFAULT, State
from heliograph.stack.terminal import wide

SUBJECT = "query.tracker.verify"
PAGE_WITHIN_S = 60.0
FAILED = 1
INTERRUPTED = 130
EXPLAINED = {
    "altered": "is not as it was written",
    "deleted": "is gone",
    "reordered": "is not in its place",
    "foreign": "was not written by the tracker",
    "unchained": "does not go on from the one before",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it was written, as the tracker names it."""

    kind: str
    record: str
    key: str
    detail: str
    shard: int | None = None


class Report(msgspec.Struct, kw_only=True):
    """What a verification has seen and found.

    Attributes:
        full: everything, or only what was recorded within the last day.
        rows: looked at; `blocks` of the ledger and `days` with a root likewise.
        refused: changes of the record that were ever refused.
    """

    full: bool
    ok: bool = True
    rows: int = 0
    blocks: int = 0
    days: int = 0
    refused: int = 0
    seconds: float = 0.0
    findings: list[Finding] = []


def verify(
    *,
    full: Annotated[
        bool, Parameter(negative="", help="The whole record, not only what the last day has recorded.")
    ] = False,
    json: Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")] = False,
    state: Annotated[
        Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")
    ] = None,
) -> int:
    """Check the record against its hashes; names each row altered, deleted, reordered or foreign."""
    report = Report(full=full)
    if asyncio.run(until_interrupted(_verify(State(state or DEFAULT), report))):
        return INTERRUPTED
    if json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        show(wide(), report)
    return 0 if report.ok else FAILED


async def _verify(state: State, report: Report) -> None:
    async with connected(state) as bus:
        await collect(bus, report)


async def collect(bus: Bus, report: Report) -> None:
    """Ask for page after page, whichever replica answers, and sum up.

    Raises:
        UnavailableError: no tracker answers in time, or its store is away.
    """
    started = time.perf_counter()
    cursor: Any = {}
    while cursor is not None:
        page = await bus.request(SUBJECT, {"full": report.full, "cursor": cursor}, timeout=PAGE_WITHIN_S)
        report.rows += page["rows"]
        report.blocks += page["blocks"]
        report.days += page["days"]
        report.findings += msgspec.convert(page["findings"], list[Finding])
        cursor = page["cursor"]
    refused = await bus.request("query.tracker.refusals", {"limit": 0})
    report.refused = refused["total"]
    report.ok = not report.findings
    report.seconds = round(time.perf_counter() - started, 3)


def show(console: Console, report: Report) -> None:
    """The report for a person: one line a finding, and the sum."""
    for finding in report.findings:
        console.print(
            f"[red]{finding.kind:<10}[/] [bold]{finding.record} {finding.key}[/] "
            f"{EXPLAINED.get(finding.kind, '')}: {finding.detail}",
            highlight=False,
            soft_wrap=True,
        )
    verdict = "[green]the record is whole[/]" if report.ok else f"[red]{len(report.findings)} findings[/]"
    scope = "" if report.full else " recorded within 24 h"
    console.print(
        f"{verdict}: {report.rows:,} rows{scope} in {report.blocks:,} blocks, "
        f"{report.days} days with a root, {report.refused} refused changes, {report.seconds:.1f} s",
        highlight=False,
        soft_wrap=True,
    )
