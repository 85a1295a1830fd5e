"""The terminal that commands print to."""

from rich.console import Console

WIDTH = 132
"""Columns that the widest table needs."""


def wide() -> Console:
    """Stdout, wide enough for the tables also where it is no terminal; a narrow one folds the lines."""
    console = Console()
    return console if console.width >= WIDTH else Console(width=WIDTH)
