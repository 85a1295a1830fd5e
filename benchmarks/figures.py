"""A measured figure and the table of them."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured figure: what, how much, beside what, and the goal where there is one."""

    name: str
    value: str
    beside: str = ""
    goal: str = ""


def quantile(values: list[float], share: float) -> float:
    """A quantile of measured values, by the nearest higher one."""
    return float(np.quantile(values, share, method="higher"))


def machine() -> str:
    """Processor, cores, system and Python."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    system = f"{platform.system()} {platform.release()}"
    return f"{cpu}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def show(title: str, figures: list[Figure], command: str) -> None:
    """Print a table with hardware, date and command."""
    table = Table(title=title, title_justify="left")
    for column in ("figure", "value", "beside", "goal"):
        table.add_column(column)
    for figure in figures:
        table.add_row(figure.name, figure.value, figure.beside, figure.goal)
    console = Console(width=160)
    console.print(table)
    console.print(f"{machine()}; {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {command}", soft_wrap=True)
