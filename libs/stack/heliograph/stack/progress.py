"""Figures as a person reads them."""

from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.stack.figures import Figures

LINE_EVERY_S = 10.0
STAGE_NAMES = {"SIGNAL": "signals", "REASON": "reasons", "OUTCOME": "outcomes"}


class Progress:
    """Shows the newest figures: in place on a terminal, else as a line now and then, or not at all."""

    def __init__(self, console: Console, *, lines: bool) -> None:
        self._console = console
        self._lines = lines
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._shown_at = -LINE_EVERY_S

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the display away."""
        self._live.stop()

    def show(self, figures: Figures) -> None:
        """Show these figures from now on."""
        if self._console.is_terminal:
            self._live.update(table(figures))
        elif self._lines and SYSTEM_CLOCK.monotonic() - self._shown_at >= LINE_EVERY_S:
            self._shown_at = SYSTEM_CLOCK.monotonic()
            self._console.print(line(figures), highlight=False, soft_wrap=True)


def cells(figures: Figures) -> dict[str, str]:
    """What is shown, by its name."""
    share = figures.bars_published / figures.bars_total if figures.bars_total else 0.0
    refused = sum(figures.quarantined.values())
    return {
        "bars": f"{figures.bars_published:,} of {figures.bars_total:,} ({share:.0%})",
        "quarantined": f"{refused:,}",
        **{name: f"{figures.last[stage]:,}" for stage, name in STAGE_NAMES.items()},
        "waiting": f"{sum(figures.lag.values()):,} messages",
        "ready": f"{sum(replica.ready for replica in figures.replicas)} of {figures.processes} processes",
    }


def line(figures: Figures) -> str:
    """The figures on one line."""
    return " · ".join(f"{name} {value}" for name, value in cells(figures).items())


def table(figures: Figures) -> Table:
    """The figures as a table."""
    view = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in cells(figures).items():
        view.add_row(f"[dim]{name}[/]", value)
    for replica in figures.replicas:
        for store, problem in replica.problems.items():
            view.add_row(f"[yellow]{replica.service}[/]", f"[yellow]{store}: {problem}[/]")
    return view
