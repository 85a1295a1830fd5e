"""`heliograph profile`: another command under a profiler, for its time or for its memory."""

import cProfile
import io
import pstats
import sys
import tracemalloc
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from heliograph.common.errors import InputError

MEGABYTE = 1 << 20
EXAMPLE = "`heliograph profile -- analyze SNOW`"


def profile(
    *command: str,
    memory: Annotated[
        bool, Parameter(negative="", help="Measure memory that Python holds instead of time.")
    ] = False,
    out: Annotated[
        Path | None, Parameter(help="File for all of it: for `pstats`, or for `tracemalloc` with --memory.")
    ] = None,
    lines: Annotated[int, Parameter(help="Lines of what took most, on stderr.")] = 25,
) -> int:
    """Run another command, and say where its time or its memory went.

    Args:
        command: The command with its options, behind `--`.
    """
    # Imported here, since that module imports all commands.
    from heliograph.stack.__main__ import app  # noqa: PLC0415

    if not command or command[0] == "profile":
        raise InputError(f"command: {' '.join(command) or 'none'!r}, expected one as in {EXAMPLE}")
    if lines < 0:
        raise InputError(f"lines: {lines}, expected 0 or more")
    if out is not None and not out.parent.is_dir():
        raise InputError(f"out: {str(out)!r} is in no folder that exists")
    run = of_memory if memory else of_time
    return run(app, list(command), out, lines)


def ran(app: App, command: list[str]) -> int:
    """The exit code of the command."""
    result = app(command, exit_on_error=False, result_action="return_value")
    return result if isinstance(result, int) else 0


def of_time(app: App, command: list[str], out: Path | None, lines: int) -> int:
    """Run it under cProfile; the functions in which most time went by, calls from them included."""
    profiler = cProfile.Profile()
    code = profiler.runcall(ran, app, command)
    text = io.StringIO()
    found = pstats.Stats(profiler, stream=text)
    if out is not None:
        found.dump_stats(out)
    found.sort_stats(pstats.SortKey.CUMULATIVE).print_stats(lines)
    sys.stderr.write(text.getvalue())
    return code


def of_memory(app: App, command: list[str], out: Path | None, lines: int) -> int:
    """Run it under tracemalloc; the most that was held at once, and the lines that hold most at the end."""
    tracemalloc.start()
    try:
        code = ran(app, command)
        held, most = tracemalloc.get_traced_memory()
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    if out is not None:
        snapshot.dump(str(out))
    sys.stderr.write(f"at most {most / MEGABYTE:.1f} MB at once, {held / MEGABYTE:.1f} MB at the end\n")
    for each in snapshot.statistics("lineno")[:lines]:
        sys.stderr.write(f"{each}\n")
    return code
