"""What others may ask of the calibration: `query.tracker.calibration`."""

import msgspec
import numpy as np

from heliograph.common.bus import Bus
from heliograph.common.errors import InputError
from heliograph.tracker.calibration.figures import Figures, figures
from heliograph.tracker.database import Database

SUBJECT = "query.tracker.calibration"
GROUP = "tracker"
DAY_NS = 86_400 * 10**9


class CalibrationQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The calibrations in use; of one strategy when it is named."""

    strategy: str | None = None


class InUse(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy's calibration in use, and how good it is.

    Attributes:
        since: event time of the oldest outcome that it saw; `until` of the newest; `outcomes` how many.
        symbols: how many symbols have a curve of their own.
        raw: breakpoints of the pool's curve, percent; `win` the probability at each.
        trained: wall time of its trial, ISO 8601.
        trial: figures of `raw`, of this one (`candidate`) and of the `current` one before it, on the newest
            outcomes of then, which did not train it.
        refused: candidates refused since.
        published: figures of signals that were published calibrated and have ended in the last `days`
            of event time, as `raw` and as `calibrated`; null without any.
    """

    strategy: str
    version: str
    since: int
    until: int
    outcomes: int
    symbols: int
    raw: list[float]
    win: list[float]
    trained: str
    trial: msgspec.Raw
    refused: int
    days: int
    published: dict[str, Figures | None]


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """One entry a strategy; none before the first calibration was taken."""

    calibrations: list[InUse]


class CalibrationAnswers:
    """The answers, from the database."""

    def __init__(self, database: Database, days: int) -> None:
        self._database = database
        self._days = days

    async def register(self, bus: Bus) -> None:
        """Answer on the bus, one replica a request."""
        await bus.respond(SUBJECT, self._respond, queue=GROUP)

    async def _respond(self, body: bytes) -> bytes:
        try:
            query = msgspec.json.decode(body or b"{}", type=CalibrationQuery)
        except msgspec.DecodeError as error:
            raise InputError(f"query: {error}") from None
        return msgspec.json.encode(await self.calibrations(query))

    async def calibrations(self, query: CalibrationQuery) -> Answers:
        """The calibrations in use.

        Raises:
            UnavailableError: Postgres is away.
        """
        rows = await self._database.fetch(
            """SELECT DISTINCT ON (c.strategy) c.strategy, c.version, c.since, c.until, c.outcomes,
                (SELECT count(*) FROM json_object_keys(c.model::json -> 'symbols')),
                c.model::json #> '{pool,raw}', c.model::json #> '{pool,win}',
                to_char(c.created AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), c.figures,
                (SELECT count(*) FROM calibrations r WHERE r.strategy = c.strategy AND r.number > c.number)
            FROM calibrations c WHERE c.taken AND (%(strategy)s::text IS NULL OR c.strategy = %(strategy)s)
            ORDER BY c.strategy, c.number DESC""",
            {"strategy": query.strategy},
        )
        return Answers(
            calibrations=[
                InUse(
                    strategy=strategy,
                    version=version,
                    since=since,
                    until=until,
                    outcomes=outcomes,
                    symbols=symbols,
                    raw=raw,
                    win=win,
                    trained=trained,
                    trial=msgspec.Raw(trial.encode()),
                    refused=refused,
                    days=self._days,
                    published=await self._published(strategy),
                )
                for (
                    strategy,
                    version,
                    since,
                    until,
                    outcomes,
                    symbols,
                    raw,
                    win,
                    trained,
                    trial,
                    refused,
                ) in rows
            ]
        )

    async def _published(self, strategy: str) -> dict[str, Figures | None]:
        """Figures of what was published calibrated, each by a version that had not seen its outcome."""
        rows = await self._database.fetch(
            """SELECT s.raw_confidence, s.confidence, o.result = 'win' OR (o.result = 'expired' AND o.pnl > 0)
            FROM outcomes o JOIN signals s ON s.id = o.signal AND s.ts = o.opened
            WHERE o.strategy = %(strategy)s AND s.calibration <> 'none'
                AND o.ts > (SELECT max(ts) FROM outcomes WHERE strategy = %(strategy)s) - %(window)s""",
            {"strategy": strategy, "window": self._days * DAY_NS},
        )
        raw, calibrated, won = np.array(rows, np.float64).reshape(-1, 3).T
        return {"raw": figures(raw, won), "calibrated": figures(calibrated, won)}
