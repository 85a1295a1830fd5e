"""`heliograph up --once`: replay to the end, check that all adds up, say what it came to."""

import asyncio
import math
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import ConfigError, InputError
from heliograph.common.refusals import REFUSED
from heliograph.stack.errors import StackError
from heliograph.stack.figures import Figures
from heliograph.stack.memory import Memory
from heliograph.stack.options import Options
from heliograph.stack.progress import Progress
from heliograph.stack.settle import PATIENCE_S, wait_until_idle
from heliograph.stack.stack import Stack
from heliograph.stack.state import State
from heliograph.stack.summary import Results, collect, contradictions, sha256_of

AGREE_WITHIN_S = 15.0
MEGABYTE = 1 << 20


class Timing(msgspec.Struct):
    """Seconds since the start, as they become known."""

    begun: float
    ready: float = 0.0
    first_signal: float | None = None
    idle: float = 0.0
    archived: float = 0.0

    def since(self) -> float:
        """Seconds since the start."""
        return SYSTEM_CLOCK.monotonic() - self.begun


async def once(folder: Path | None, options: Options, *, keep: bool, as_json: bool) -> None:
    """Run one replay; on a fresh state, removed afterwards, unless `folder` names one.

    Raises:
        ConfigError, InputError: a setting or the data are wrong.
        StackError: it failed, or the results contradict each other; the logs are kept.
    """
    temporary = folder is None
    state = State(Path(tempfile.mkdtemp(prefix="heliograph-")) if folder is None else folder)
    try:
        summary = await _replay(state, options)
    except (ConfigError, InputError, asyncio.CancelledError):
        if temporary:
            shutil.rmtree(state.folder, ignore_errors=True)
        raise
    except BaseException:
        if temporary:
            _keep_logs(state)
        sys.stderr.write(f"heliograph: the logs are in {state.logs}\n")
        raise
    if temporary and not keep:
        shutil.rmtree(state.folder, ignore_errors=True)
    elif keep:
        sys.stderr.write(f"heliograph: the state is in {state.folder}\n")
    _print(summary, as_json=as_json)


def _keep_logs(state: State) -> None:
    """After a failure keep what tells why, and nothing more."""
    for path in state.folder.iterdir():
        if path.is_dir() and path != state.logs:
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file():
            path.unlink(missing_ok=True)


async def _replay(state: State, options: Options) -> dict[str, object]:
    timing = Timing(begun=SYSTEM_CLOCK.monotonic())
    memory = Memory()
    watch = asyncio.create_task(memory.watch())
    try:
        async with Stack(state, options) as stack:
            timing.ready = timing.since()
            figures, results, problems = await stack.race(_work(stack, timing))
            summary = _summary(stack, figures, results, timing, memory)
    finally:
        watch.cancel()
    if problems:
        raise StackError("the results contradict each other:\n  " + "\n  ".join(problems))
    return summary


async def _work(stack: Stack, timing: Timing) -> tuple[Figures, Results, list[str]]:
    bus = await stack.connect()
    try:
        await bus.ensure_streams()
        with Progress(Console(stderr=True), lines=False) as progress:

            def report(figures: Figures) -> None:
                if figures.last["SIGNAL"] and timing.first_signal is None:
                    timing.first_signal = timing.since()
                progress.show(figures)

            # Between two bars of a paced replay there may be a day.
            patience = PATIENCE_S if stack.options.speed is None else math.inf
            figures = await wait_until_idle(
                bus, stack.shards, report, processes=stack.services, patience_s=patience
            )
            timing.idle = timing.since()
            results, problems = await _agreement(bus, figures)
            timing.archived = timing.since()
        return figures, results, problems
    finally:
        await bus.close()


async def _agreement(bus: Bus, figures: Figures) -> tuple[Results, list[str]]:
    """What every keeper knows; asked again for a while where they do not agree yet."""
    deadline = SYSTEM_CLOCK.monotonic() + AGREE_WITHIN_S
    while True:
        results = await collect(bus, figures)
        problems = contradictions(results) + refused(figures)
        if not problems or SYSTEM_CLOCK.monotonic() > deadline:
            return results, problems
        await asyncio.sleep(1.0)


def refused(figures: Figures) -> list[str]:
    """What NATS did not let a service do, as the services say themselves."""
    told = ((r, r.problems.get(REFUSED, "")) for r in figures.replicas)
    return [f"{replica.service} {replica.member}: {problem}" for replica, problem in told if problem]


def _summary(
    stack: Stack, figures: Figures, results: Results, timing: Timing, memory: Memory
) -> dict[str, object]:
    clickhouse = next(
        (r.status.get("clickhouse", "") for r in figures.replicas if r.service == "archiver" and r.status), ""
    )
    return {
        "bars": results.bars,
        "signals": len(results.signals),
        "reasons": results.reasons,
        "outcomes": results.outcomes,
        "archived": {"rows": results.archived.rows, "objects": results.archived.objects},
        "open": results.recorded.open,
        "dead": results.dead,
        "quarantined": results.quarantined,
        "seconds": round(timing.idle, 3),
        "bars_per_second": round(results.bars / timing.idle, 1),
        "first_signal_seconds": round(timing.first_signal, 3) if timing.first_signal else None,
        "archive_seconds": round(timing.archived - timing.idle, 3),
        "engines_ready_seconds": round(timing.ready, 3),
        "peak_rss_megabytes": round(memory.resident / MEGABYTE, 1),
        "peak_pss_megabytes": round(memory.proportional / MEGABYTE, 1),
        "signals_sha256": sha256_of(results.signals),
        "engines": {**stack.versions(), "clickhouse": clickhouse},
        "shards": stack.shards,
        "replicas": stack.options.replicas,
    }


def _print(summary: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
        return
    view = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in summary.items():
        view.add_row(f"[dim]{name}[/]", str(value))
    Console().print(view)
