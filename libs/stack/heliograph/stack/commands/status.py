"""`heliograph status`: what runs on a state folder, and how it is."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from heliograph.stack.commands.connection import connected, running
from heliograph.stack.figures import Figures, Replica, look
from heliograph.stack.leftovers import alive
from heliograph.stack.options import describe, parse_speed
from heliograph.stack.progress import cells
from heliograph.stack.services import member_of
from heliograph.stack.state import NATS_USERS, Run, State
from heliograph.stack.terminal import wide


async def status(state: State, *, as_json: bool) -> bool:
    """Print the processes and the figures; whether every process is ready.

    Raises:
        StackError: no stack runs there, or its NATS does not answer.
    """
    run = running(state)
    shards = int(run.settings["shards"])
    services = sum(process.kind == "service" for process in run.processes)
    async with connected(state) as bus:
        figures = await look(bus, shards, services)
    if as_json:
        sys.stdout.write(msgspec.json.encode(_plain(run, figures)).decode() + "\n")
    else:
        _print(wide(), run, figures, state.folder / NATS_USERS)
    return len(figures.replicas) >= services and all(replica.ready for replica in figures.replicas)


def _processes(run: Run) -> list[dict[str, Any]]:
    rows = []
    for entry in run.processes:
        process = alive(entry)
        memory = 0
        if process:
            try:
                memory = process.memory_info().rss
            except psutil.Error:  # it has just ended
                process = None
        rows.append(
            {
                "name": entry.name,
                "kind": entry.kind,
                "pid": entry.pid,
                "alive": process is not None,
                "memory": memory,
            }
        )
    return rows


def _plain(run: Run, figures: Figures) -> dict[str, Any]:
    return {
        "started": run.started,
        "urls": run.urls,
        "settings": run.settings,
        "processes": _processes(run),
        "figures": figures,
    }


def _condition(row: dict[str, Any], replica: Replica | None) -> str:
    """How one process is, in a few words."""
    if not row["alive"]:
        return "dead"
    if row["kind"] == "engine":
        return "runs"
    if replica is None:
        return "does not answer"
    return "; ".join(f"{store}: {problem}" for store, problem in replica.problems.items()) or "ready"


def _facts(run: Run, figures: Figures, secrets: Path) -> list[tuple[str, str | int]]:
    return [
        *cells(figures).items(),
        *run.urls.items(),
        ("users, passwords", str(secrets)),
        *(run.settings | {"speed": describe(parse_speed(str(run.settings["speed"])))}).items(),
    ]


def _print(console: Console, run: Run, figures: Figures, secrets: Path) -> None:
    processes = Table("process", "pid", "memory", "state", "probes", box=None, padding=(0, 2))
    replicas = {replica.member: replica for replica in figures.replicas}
    for row in _processes(run):
        replica = replicas.get(member_of(row["name"]))
        probe = replica.probe if replica else ""
        processes.add_row(
            row["name"], str(row["pid"]), f"{row['memory'] >> 20} MB", _condition(row, replica), probe
        )
    console.print(processes)
    figure_table = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in _facts(run, figures, secrets):
        figure_table.add_row(f"[dim]{name}[/]", str(value))
    console.print(figure_table)
