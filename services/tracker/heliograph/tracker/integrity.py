"""The record looks at itself: refusals at once, a sample by the hour, everything by the day, days' roots."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from heliograph.common import metrics
from heliograph.common.clock import NANOSECONDS, Clock
from heliograph.tracker import days, partitions, refusals
from heliograph.tracker.checking import Finding
from heliograph.tracker.database import Database
from heliograph.tracker.looking import Looking
from heliograph.tracker.settings import TrackerSettings
from heliograph.tracker.verification import Verification, VerifyPage, VerifyQuery

LOOK_S = 5.0
"""Seconds between two looks for refusals, and for what is due."""
SHOWN_MOST = 100
"""Findings of one check that are kept and logged; their number is always told."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the record: how many rows it saw, what it found, when it ended (seconds since 1970)."""

    rows: int
    findings: int
    seconds: float
    ended: float


class Integrity:
    """Runs for as long as the service does; whichever replica finds a check due makes it."""

    def __init__(self, database: Database, settings: TrackerSettings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._verification = Verification(database)
        self.checks: dict[str, Check] = {}
        self._looking = Looking("integrity", self.look, LOOK_S)

    def start(self) -> None:
        """Begin to look."""
        self._looking.start()

    async def close(self) -> None:
        """Stop; a check under way is made again by whoever comes next."""
        await self._looking.close()

    async def look(self) -> None:
        """Take what was refused, and make the checks that are due.

        Raises:
            UnavailableError: Postgres is away.
        """
        for refusal in await refusals.collect(self._database):
            metrics.RECORD_REFUSALS.inc()
            await log.aerror("change of the record refused", **msgspec.to_builtins(refusal))
        if await self._due("full", self._settings.full_check_s, since_first=True):
            await self._keep("full", self._everything)
        if await self._due("sample", self._settings.sample_check_s):
            await self._keep("sample", self._sample)
            await self._close_days()
            await self._archive()

    async def _due(self, kind: str, seconds: float, *, since_first: bool = False) -> bool:
        """Whether the newest check of this kind is so old; without one, whether the record is."""
        ((age, first),) = await self._database.fetch(
            """SELECT (SELECT extract(epoch FROM now() - max(created)) FROM integrity_checks WHERE kind = %s),
            (SELECT extract(epoch FROM now() - min(created)) FROM ledger)""",
            (kind,),
        )
        if age is None:
            age = first if since_first else seconds
        return age is not None and age >= seconds

    async def _keep(self, kind: str, check: Callable[[], Awaitable[VerifyPage]]) -> None:
        started = time.perf_counter()
        page = await check()
        seconds = time.perf_counter() - started
        shown = page.findings[:SHOWN_MOST]
        await self._database.fetch(
            "INSERT INTO integrity_checks (kind, rows, findings, seconds) VALUES (%s, %s, %s, %s)",
            (kind, page.rows, msgspec.json.encode(shown).decode(), seconds),
        )
        metrics.RECORD_FINDINGS.labels(kind).set(len(page.findings))
        self.checks[kind] = Check(
            rows=page.rows,
            findings=len(page.findings),
            seconds=round(seconds, 3),
            ended=self._clock.now_ns() / NANOSECONDS,
        )
        for finding in shown:
            await log.aerror("the record is not as it was written", **msgspec.to_builtins(finding))
        await log.ainfo("record checked", kind=kind, rows=page.rows, findings=len(page.findings))

    async def _sample(self) -> VerifyPage:
        return await self._verification.sample(self._settings.sample_rows)

    async def _everything(self) -> VerifyPage:
        """All pages; as long a rest after each as it took, so that the shards come first."""
        rows, findings = 0, list[Finding]()
        query = VerifyQuery(full=True)
        while True:
            started = time.perf_counter()
            page = await self._verification.page(query)
            rows += page.rows
            findings += page.findings
            if page.cursor is None:
                return VerifyPage(rows=rows, findings=findings, cursor=None)
            query = VerifyQuery(full=True, cursor=page.cursor)
            await asyncio.sleep(time.perf_counter() - started)

    async def _close_days(self) -> None:
        for made in await days.close(self._database, self._clock.now_ns()):
            # The log is a second place: who alters the record and its roots does not reach it.
            await log.ainfo(
                "day closed",
                day=made.day.isoformat(),
                leaves=made.leaves,
                root=made.root.hex(),
                link=made.link.hex(),
            )

    async def _archive(self) -> None:
        if not self._settings.signals_months:
            return
        async with self._database.connection() as connection:
            moved = await partitions.archive(connection, self._settings.signals_months, self._clock.now_ns())
        for name in moved:
            await log.ainfo("month archived", partition=name)

    def status(self) -> dict[str, Any]:
        """The newest checks that this replica made."""
        return {kind: msgspec.to_builtins(check) for kind, check in self.checks.items()}
