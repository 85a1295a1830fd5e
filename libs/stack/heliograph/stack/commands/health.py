"""`heliograph health`: one line a check, deeper with each level."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console

from heliograph.common.errors import HeliographError, InputError
from heliograph.stack import health as checks
from heliograph.stack.commands.connection import connected, running
from heliograph.stack.health import Check
from heliograph.stack.state import DEFAULT, State

FAILED = 1
SERVICES_LEVEL, DEPTH_LEVEL = 2, 3
COLOURS = {"pass": "green", "fail": "red", "skipped": "yellow"}


def health(
    *,
    level: Annotated[int, Parameter(help="1: this machine; 2: the running services too; 3: all.")] = 2,
    json: Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")] = False,
    state: Annotated[
        Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")
    ] = None,
) -> int:
    """Check the machine, the running services and the record; exits with 1 where a check fails."""
    if level not in range(1, DEPTH_LEVEL + 1):
        raise InputError(f"level: {level}, expected 1, 2 or 3")
    found = asyncio.run(examine(State(state or DEFAULT), level))
    if json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        console = Console()
        for check in found:
            line = f"[{COLOURS[check.state]}]{check.state:<8}[/] {check.name:<28} {check.detail}"
            console.print(line, highlight=False, soft_wrap=True)
    return FAILED if any(check.state == "fail" for check in found) else 0


async def examine(state: State, level: int) -> list[Check]:
    """The checks up to a level; a stack that does not run or answer is a failed check."""
    found = list(checks.environment(state))
    if level < SERVICES_LEVEL:
        return found
    try:
        run = running(state)
        async with connected(state) as bus:
            found += await checks.services(bus, run)
            if level >= DEPTH_LEVEL:
                found += await checks.depth(bus, run)
    except HeliographError as error:
        found.append(checks.checked(SERVICES_LEVEL, "stack", str(error), ""))
    return found
