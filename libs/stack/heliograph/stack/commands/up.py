"""`heliograph up`: everything, until Ctrl-C."""

import asyncio
import sys

import msgspec
from rich.console import Console

from heliograph.common.errors import UnavailableError
from heliograph.common.permissions import SUBSCRIBER
from heliograph.stack.figures import Figures, look
from heliograph.stack.options import Options, describe
from heliograph.stack.progress import Progress
from heliograph.stack.stack import Stack
from heliograph.stack.state import NATS_USERS, State

LOOK_EVERY_S = 1.0


async def up(state: State, options: Options, *, as_json: bool) -> None:
    """Run a stack until the task is cancelled.

    Raises:
        ConfigError, InputError: a setting or the data are wrong.
        StackError: it cannot start or go on.
    """
    console = Console(stderr=as_json)
    async with Stack(state, options) as stack:
        if as_json:
            sys.stdout.write(msgspec.json.encode(_addresses(stack)).decode() + "\n")
            sys.stdout.flush()
        else:
            _welcome(console, stack)
        await stack.race(_follow(stack, console))


def _addresses(stack: Stack) -> dict[str, object]:
    return {
        "urls": stack.urls,
        "logs": str(stack.state.logs),
        "state": str(stack.state.folder),
        "notes": stack.notes,
    }


def _welcome(console: Console, stack: Stack) -> None:
    """Every URL, on its own line so that a terminal makes it a link."""
    console.print("[bold]Heliograph[/] is starting; Ctrl-C stops all of it.\n")
    console.print(f"  signals, live   [bold]{stack.urls['gateway']}[/]", highlight=False)
    for name, url in stack.urls.items():
        if name != "gateway":
            note = f"  user {SUBSCRIBER}" if name == "nats" else ""
            console.print(f"  {name:<15} {url}{note}", highlight=False)
    secrets = stack.state.folder / NATS_USERS
    for name, value in (("passwords", secrets), ("logs", stack.state.logs), *_prices(stack.options)):
        console.print(f"  {name:<15} {value}", highlight=False, soft_wrap=True)
    console.print()
    for note in stack.notes:
        console.print(f"[yellow]{note}[/]")


def _prices(options: Options) -> list[tuple[str, object]]:
    """Where bars come from."""
    if options.provider is not None:
        return [("live prices", f"from {options.provider}")]
    return [("data", options.data), ("speed", describe(options.speed))]


async def _follow(stack: Stack, console: Console) -> None:
    """Show how far it is, for ever."""
    bus = await stack.connect()
    try:
        await bus.ensure_streams()
        probes: dict[str, str] = {}
        with Progress(console, lines=True) as progress:
            while True:
                try:
                    figures = await look(bus, stack.shards, stack.services)
                except UnavailableError:  # an engine starts again
                    await asyncio.sleep(LOOK_EVERY_S)
                    continue
                _tell_probes(console, figures, probes)
                progress.show(figures)
                await asyncio.sleep(LOOK_EVERY_S)
    finally:
        await bus.close()


def _tell_probes(console: Console, figures: Figures, known: dict[str, str]) -> None:
    """Print the address of each new process's probes and metrics."""
    for replica in figures.replicas:
        name = f"{replica.service}/{replica.member}"
        if known.get(name) != replica.probe:
            known[name] = replica.probe
            console.print(f"  {replica.member:<15} {replica.probe}/metrics  /livez  /readyz", highlight=False)
