"""Whether all is well, check by check: this gateway, then the services, then the archive and the record."""

from collections.abc import Callable, Iterator
from typing import Any

from heliograph.common import health_checks as checks
from heliograph.common.bus import Bus
from heliograph.common.errors import HeliographError
from heliograph.gateway.operation_records import Check, Checkup
from heliograph.gateway.owners import Owners
from heliograph.gateway.recent import Recent
from heliograph.gateway.records import Replica, System

SERVICES = ("fetcher", "consensus", "reasoning", "tracker", "archiver")
SHARDED = ("consensus", "tracker")
SERVICES_LEVEL, DEPTH_LEVEL = 2, 3
MOST_LAG = 10_000
"""Messages that a service may have waiting: above, results come late."""
OLDEST_ARCHIVE_S = 24 * 3600


async def checkup(bus: Bus, overview: Recent[System], owners: Owners, level: int) -> Checkup:
    """The checks up to a level; what does not answer is a failed check."""
    connected = bus.client.is_connected
    found = [checked(1, "bus", "" if connected else "not connected, trying again", "connected")]
    if level >= SERVICES_LEVEL:
        try:
            system = await overview.get()
        except HeliographError as error:
            found.append(checked(SERVICES_LEVEL, "system", str(error), ""))
        else:
            found += services(system)
            if level >= DEPTH_LEVEL:
                found += depth(system)
                found.append(await told("outcomes", owners, checks.STATISTICS, checks.outcomes))
                found.append(await told("calibration", owners, checks.CALIBRATION, checks.calibration))
                found.append(await refused(owners))
    failed = any(check.state == "fail" for check in found)
    return Checkup(status="fail" if failed else "pass", level=level, checks=found)


def checked(level: int, name: str, problem: str, seen: str) -> Check:
    """A check that fails with a problem, or passes with what was seen."""
    return Check(level=level, name=name, state="fail" if problem else "pass", detail=problem or seen)


def services(system: System) -> Iterator[Check]:
    """Level 2: every service, its stores, the owners of the shards, and what waits in the streams."""
    running = {replica.service for replica in system.replicas}
    for service in SERVICES:
        if service not in running:
            yield checked(2, service, "no replica answers", "")
    for replica in system.replicas:
        problems = "; ".join(f"{store}: {problem}" for store, problem in replica.problems.items())
        unready = problems or ("" if replica.ready else "not ready")
        held = f"{len(replica.shards)} shards" if replica.shards else "ready"
        yield checked(2, f"{replica.service} {replica.member}", unready, held)
        if replica.service == "fetcher" and replica.shards:
            yield _provider(replica)
    for service in SHARDED:
        owned = {shard for r in system.replicas if r.service == service for shard in r.shards}
        missing = sorted(set(range(system.shards)) - owned)
        problem = f"nobody has {', '.join(map(str, missing))}" if missing and service in running else ""
        yield checked(2, f"shards of {service}", problem, f"{len(owned)} of {system.shards} have an owner")
    for stream in system.streams:
        for consumer in stream.consumers:
            waiting = f"{consumer.lag:,} messages wait"
            problem = f"{waiting}, expected at most {MOST_LAG:,}" if consumer.lag > MOST_LAG else ""
            yield checked(2, f"lag of {consumer.service} in {stream.name}", problem, waiting)


def _provider(replica: Replica) -> Check:
    """The provider of bars, as a fetcher that reads it sees it."""
    state = str(replica.status.get("health", "unknown"))
    unwell = "" if state == "healthy" else f"{state}: it fails, or has given nothing for minutes"
    name = f"provider {replica.status.get('provider', '')} of {replica.member}"
    return checked(2, name, unwell, state)


def depth(system: System) -> Iterator[Check]:
    """Level 3: the archive's age, the keys of models, and the record's newest checks against its hashes."""
    for replica in system.replicas:
        if replica.service == "archiver" and 0 in replica.shards:
            yield _archive(replica)
        if replica.service == "reasoning" and replica.status.get("keys"):
            verdict = checks.keys(replica.status["keys"])
            name = f"keys of {replica.member}"
            yield Check(level=3, name=name, state=verdict.state, detail=verdict.detail)
        if replica.service == "tracker":
            yield _integrity(replica)


def _archive(replica: Replica) -> Check:
    age = replica.status.get("archive_age_s")
    if not isinstance(age, int | float):
        return Check(level=3, name="archive", state="skipped", detail="no day is archived yet")
    late = f", expected at most {OLDEST_ARCHIVE_S:,}" if age > OLDEST_ARCHIVE_S else ""
    seen = f"{age:,.0f} s since the last run"
    return checked(3, "archive", seen + late if late else "", seen)


def _integrity(replica: Replica) -> Check:
    name = f"record as {replica.member} checked it"
    newest = replica.status.get("integrity") or {}
    if not newest:
        return Check(level=3, name=name, state="skipped", detail="not yet checked by this replica")
    findings = sum(int(check.get("findings", 0)) for check in newest.values())
    rows = sum(int(check.get("rows", 0)) for check in newest.values())
    problem = f"{findings} findings: `heliograph verify --full` names them" if findings else ""
    return checked(3, name, problem, f"{rows:,} rows agree with their hashes")


async def told(name: str, owners: Owners, subject: str, judge: Callable[[Any], checks.Verdict]) -> Check:
    """A check of what the tracker answers."""
    try:
        verdict = judge(await owners.ask(subject, {}, dict))
    except HeliographError as error:
        return checked(3, name, str(error), "")
    return Check(level=3, name=name, state=verdict.state, detail=verdict.detail)


async def refused(owners: Owners) -> Check:
    """Whether somebody tried to change the record."""
    try:
        total = await owners.refusals()
    except HeliographError as error:
        return checked(3, "record", str(error), "")
    return checked(3, "record", "", f"{total} refused changes")
