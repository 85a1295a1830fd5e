"""What the archiver checks by itself: that it archives, and that what it archived is still whole."""

import asyncio
import random
from collections.abc import Callable

import structlog

from heliograph.archiver.archive.holdings import Holdings
from heliograph.common import metrics
from heliograph.common.clock import SYSTEM_CLOCK, Clock
from heliograph.common.errors import HeliographError

OVERDUE_S = 86_400.0
"""Without a run that succeeded for so long, something is wrong."""
NAMED = 5
"""Objects that a problem names; all are in the log."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class SelfChecks:
    """Reads a sample of the archive again and again, and keeps the time of the last run.

    Attributes:
        wrong: objects that were not whole when they were read last, and why.
        checked: objects read so far.
    """

    def __init__(self, holdings: Holdings, objects: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._holdings = holdings
        self._objects = objects
        self._clock = clock
        self._chance = random.Random()  # noqa: S311 - any sample will do, no two alike
        self._last_run = clock.monotonic()
        self._away = ""
        self.wrong: dict[str, str] = {}
        self.checked = 0

    def ran(self) -> None:
        """A run of the archive has succeeded."""
        self._last_run = self._clock.monotonic()

    def measure(self, leading: Callable[[], bool]) -> None:
        """Have the age told as a metric from now on, by the member that archives."""
        metrics.ARCHIVE_AGE.set_function(lambda: self.age_s if leading() else 0.0)

    @property
    def age_s(self) -> float:
        """Seconds since the last run that succeeded, or since the start."""
        return self._clock.monotonic() - self._last_run

    def problems(self, *, leading: bool) -> dict[str, str]:
        """What is overdue or broken; only the member that archives can be overdue."""
        found: dict[str, str] = {}
        if leading and self.age_s > OVERDUE_S:
            found["archive age"] = f"no run has succeeded for {self.age_s / 3600:.0f} h, expected one in 24 h"
        if self.wrong:
            named = [f"{key}: {why}" for key, why in sorted(self.wrong.items())][:NAMED]
            found["archive sample"] = f"{len(self.wrong)} objects are not whole: {'; '.join(named)}"
        elif self._away:
            found["archive sample"] = self._away
        return found

    async def sample(self) -> None:
        """Read a sample once, and those again that were wrong before.

        Raises:
            UnavailableError: the store does not answer.
        """
        verdict = await self._holdings.sample(self._objects, self._chance)
        again = await self._holdings.verify_keys(list(self.wrong)) if self.wrong else {}
        self.wrong = {**again, **verdict.wrong}
        self.checked += verdict.checked
        metrics.ARCHIVE_CHECKED.inc(verdict.checked)
        metrics.ARCHIVE_WRONG.set(len(self.wrong))
        if self.wrong:
            await log.aerror("archived objects are not whole", wrong=self.wrong)

    async def run(self, period_s: float) -> None:
        """Sample for ever."""
        while True:
            await asyncio.sleep(period_s)
            try:
                await self.sample()
                self._away = ""
            except HeliographError as error:
                self._away = str(error)
                await log.awarning("sample not read", error=str(error))
