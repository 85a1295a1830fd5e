"""A command that asks a service of the running stack, which alone touches its store, and shows the answer."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from heliograph.common.bus import Bus
from heliograph.stack.commands.connection import connected
from heliograph.stack.commands.interrupt import until_interrupted
from heliograph.stack.state import DEFAULT, State
from heliograph.stack.terminal import wide

FAILED = 1
INTERRUPTED = 130
WITHIN_S = 30.0

Ask = Callable[[Bus], Awaitable[Any]]
Show = Callable[[Console, Any], None]


def answer(
    folder: Path | None,
    ask: Ask,
    show: Show,
    *,
    as_json: bool,
    failed: Callable[[Any], bool] = lambda _: False,
) -> int:
    """Ask the running stack and print what it says; the exit code.

    Raises:
        InputError: the service refuses the request.
        StackError: no stack runs there, or its NATS does not answer.
        UnavailableError: the service or its store does not answer.
    """
    said: list[Any] = []

    async def asked(state: State) -> None:
        async with connected(state) as bus:
            said.append(await ask(bus))

    if asyncio.run(until_interrupted(asked(State(folder or DEFAULT)))):
        return INTERRUPTED
    if as_json:
        sys.stdout.write(msgspec.json.encode(said[0]).decode() + "\n")
    else:
        show(wide(), said[0])
    return FAILED if failed(said[0]) else 0


def request(subject: str, body: dict[str, Any], within_s: float = WITHIN_S) -> Ask:
    """One question, answered by the owner within so many seconds."""

    async def ask(bus: Bus) -> Any:
        return await bus.request(subject, body, timeout=within_s)

    return ask
