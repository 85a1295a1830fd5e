"""Whether a Heliograph is well: each check passes, fails, or is skipped where there is nothing to check."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import httpx
import msgspec

from heliograph.common import health_checks
from heliograph.common.bus import Bus
from heliograph.common.errors import ConfigError, HeliographError
from heliograph.stack.commands.config import examine
from heliograph.stack.commands.verify import Report, collect
from heliograph.stack.figures import Figures, Replica, look
from heliograph.stack.state import Run, State

OLDEST_PYTHON = (3, 11)
LEAST_DISK_BYTES = 1 << 30
MOST_LAG = 10_000
"""Messages that a stage may have waiting: above, results come late."""
OLDEST_ARCHIVE_S = 24 * 3600
WITHIN_S = 5.0
ANSWER_S = 30.0


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check: what was looked at, how it is, and what was seen."""

    level: int
    name: str
    state: Literal["pass", "fail", "skipped"]
    detail: str


def checked(level: int, name: str, problem: str, seen: str) -> Check:
    """A check that fails with a problem, or passes with what was seen."""
    return Check(level=level, name=name, state="fail" if problem else "pass", detail=problem or seen)


def environment(state: State) -> Iterator[Check]:
    """Level 1: this machine, and the configuration as every service would read it."""
    version = ".".join(map(str, sys.version_info[:3]))
    old = "" if sys.version_info >= OLDEST_PYTHON else f"{version}, expected 3.11 or later"
    yield checked(1, "python", old, version)
    place = next(path for path in (state.folder.resolve(), *state.folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(place).free
    full = (
        "" if free >= LEAST_DISK_BYTES else f"{free:,} bytes free at {place}, expected {LEAST_DISK_BYTES:,}"
    )
    yield checked(1, "disk", full, f"{free / 1e9:.0f} GB free at {place}")
    try:
        found = examine()
    except ConfigError as error:
        yield checked(1, "configuration", str(error), "")
        return
    for service, problem in found.services.items():
        yield checked(1, f"configuration of {service}", problem, "fine")
    yield checked(1, "configuration names", "; ".join(found.unknown), "all known")


async def services(bus: Bus, run: Run) -> list[Check]:
    """Level 2: every process, its stores, the owners of the shards, and what waits in the streams."""
    expected = sum(process.kind == "service" for process in run.processes)
    figures = await look(bus, int(run.settings["shards"]), expected)
    missing = expected - len(figures.replicas)
    return [
        checked(
            2, "processes", f"{missing} of {expected} do not answer" if missing else "", f"{expected} answer"
        ),
        *(_replica(replica) for replica in figures.replicas),
        *(
            _provider(replica)
            for replica in figures.replicas
            if replica.service == "fetcher" and replica.shards
        ),
        checked(2, "shards", "" if figures.owned else "some have no owner", "each has an owner"),
        *_lags(figures),
    ]


def _replica(replica: Replica) -> Check:
    problems = "; ".join(f"{store}: {problem}" for store, problem in replica.problems.items())
    unready = problems or ("" if replica.ready else "not ready")
    held = f"{len(replica.shards)} shards" if replica.shards else "ready"
    return checked(2, f"{replica.service} {replica.member}", unready, held)


def _provider(replica: Replica) -> Check:
    """The provider of bars, as a fetcher that reads it sees it."""
    status = replica.status or {}
    state = str(status.get("health", "unknown"))
    unwell = "" if state == "healthy" else f"{state}: it fails, or has given nothing for minutes"
    return checked(2, f"provider {status.get('provider', '')} of {replica.member}", unwell, state)


def _lags(figures: Figures) -> Iterator[Check]:
    for stage, waiting in figures.lag.items():
        late = f"{waiting:,} messages wait, expected at most {MOST_LAG:,}" if waiting > MOST_LAG else ""
        yield checked(2, f"lag of {stage}", late, f"{waiting:,} messages wait")


async def depth(bus: Bus, run: Run) -> list[Check]:
    """Level 3: what answers over HTTP, the keys, the archive's age, and the record against its hashes."""
    figures = await look(bus, int(run.settings["shards"]))
    found: list[Check] = []
    async with httpx.AsyncClient(timeout=WITHIN_S, trust_env=False) as client:
        page = run.urls["gateway"].rstrip("/")
        addresses = {"page": f"{page}/", "api": f"{page}/api/stats"}
        addresses |= {
            f"probe of {r.service} {r.member}": f"{r.probe}/readyz" for r in figures.replicas if r.probe
        }
        for name, address in addresses.items():
            found.append(await _answers(client, name, address))
    states = [(r.status or {}).get("keys", {}) for r in figures.replicas if r.service == "reasoning"]
    found.append(_judged("keys", health_checks.keys({k: v for each in states for k, v in each.items()})))
    found += [_archive(r) for r in figures.replicas if r.service == "archiver" and 0 in r.shards]
    found.append(await _told("outcomes", bus, health_checks.STATISTICS, health_checks.outcomes))
    found.append(await _told("calibration", bus, health_checks.CALIBRATION, health_checks.calibration))
    found.append(await _integrity(bus))
    return found


async def _told(name: str, bus: Bus, subject: str, judge: Callable[[Any], health_checks.Verdict]) -> Check:
    """A check of what the tracker answers."""
    try:
        verdict = judge(await bus.request(subject, {}, timeout=ANSWER_S))
    except HeliographError as error:
        return checked(3, name, str(error), "")
    return _judged(name, verdict)


def _judged(name: str, verdict: health_checks.Verdict) -> Check:
    return Check(level=3, name=name, state=verdict.state, detail=verdict.detail)


async def _answers(client: httpx.AsyncClient, name: str, address: str) -> Check:
    started = time.perf_counter()
    try:
        answer = await client.get(address)
    except httpx.HTTPError as error:
        return checked(3, name, f"{address}: {error!r}", "")
    problem = "" if answer.is_success else f"{address}: status {answer.status_code}: {answer.text[:200]}"
    return checked(3, name, problem, f"{1e3 * (time.perf_counter() - started):.0f} ms")


def _archive(replica: Replica) -> Check:
    age = (replica.status or {}).get("archive_age_s")
    if age is None:
        return Check(level=3, name="archive", state="skipped", detail="no day is archived yet")
    late = (
        f"{age:,} s since the last run, expected at most {OLDEST_ARCHIVE_S:,}"
        if age > OLDEST_ARCHIVE_S
        else ""
    )
    return checked(3, "archive", late, f"{age:,} s since the last run")


async def _integrity(bus: Bus) -> Check:
    report = Report(full=False)
    try:
        await collect(bus, report)
    except HeliographError as error:
        return checked(3, "integrity", str(error), "")
    wrong = "; ".join(f"{f.kind} {f.record} {f.key}" for f in report.findings)
    return checked(3, "integrity", wrong, f"{report.rows:,} rows of the last day agree with their hashes")
