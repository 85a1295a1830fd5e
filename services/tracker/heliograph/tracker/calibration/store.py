"""Calibrations and what they learn from, in Postgres."""

from typing import Any

import msgspec
import numpy as np

from heliograph.common.calibration import Calibration
from heliograph.tracker.calibration.training import ENOUGH, Outcomes, Trial
from heliograph.tracker.database import Connection

LOCK = 0x6865_6C69_6F02
"""Advisory lock of the training; the server lets go of it when its holder's transaction ends or dies."""
LOOK_BACK = 20_000
"""Outcomes of a strategy that are searched for the end of a window."""

_models = msgspec.json.Decoder(Calibration)


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy, and what has come since its last trial.

    Attributes:
        newest: event time of its newest outcome.
        new: outcomes recorded since the last trial, all of them before the first.
        tried: event time of the newest outcome in the last trial, 0 before the first.
    """

    strategy: str
    newest: int
    new: int
    tried: int


async def lock(connection: Connection) -> bool:
    """Whether the connection's transaction is the only one that trains or sends, until it ends."""
    cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,))
    return bool(await _single(cursor))


async def strategies(connection: Connection) -> list[Due]:
    """Every strategy with outcomes; each costs a step in an index and its outcomes since its last trial."""
    cursor = await connection.execute(
        """WITH RECURSIVE found (strategy) AS (
            (SELECT strategy FROM outcomes ORDER BY strategy LIMIT 1)
            UNION ALL
            SELECT (SELECT o.strategy FROM outcomes o WHERE o.strategy > f.strategy ORDER BY 1 LIMIT 1)
            FROM found f WHERE f.strategy IS NOT NULL
        )
        SELECT f.strategy, (SELECT max(o.ts) FROM outcomes o WHERE o.strategy = f.strategy),
            (SELECT count(*) FROM outcomes o WHERE o.strategy = f.strategy
                AND o.created > coalesce(t.created, '-infinity')),
            coalesce(t.until, 0)
        FROM found f LEFT JOIN LATERAL (
            SELECT c.created, c.until FROM calibrations c WHERE c.strategy = f.strategy
            ORDER BY c.number DESC LIMIT 1
        ) t ON true
        WHERE f.strategy IS NOT NULL"""
    )
    return [
        Due(strategy=strategy, newest=newest, new=new, tried=tried)
        for strategy, newest, new, tried in await cursor.fetchall()
    ]


async def window_end(connection: Connection, strategy: str, length: int) -> int | None:
    """The newest end of an outcome up to which a window of `length` holds enough outcomes to train.

    With symbols whose bars go on long after those of others have ended, the newest window may hold too few.
    """
    cursor = await connection.execute(
        "SELECT ts FROM outcomes WHERE strategy = %s ORDER BY ts DESC LIMIT %s", (strategy, LOOK_BACK)
    )
    ended = np.array(await cursor.fetchall(), np.int64).reshape(-1)
    enough = np.flatnonzero(ended[: 1 - ENOUGH] - ended[ENOUGH - 1 :] < length)
    return int(ended[enough[0]]) if enough.size else None


async def outcomes(connection: Connection, strategy: str, after: int, upto: int) -> Outcomes:
    """The outcomes of a strategy that ended after `after` and not after `upto`, in this order."""
    cursor = await connection.execute(
        """SELECT o.symbol, s.raw_confidence, o.result = 'win' OR (o.result = 'expired' AND o.pnl > 0), o.ts
        FROM outcomes o JOIN signals s ON s.id = o.signal AND s.ts = o.opened
        WHERE o.strategy = %s AND o.ts > %s AND o.ts <= %s ORDER BY o.ts, o.signal""",
        (strategy, after, upto),
    )
    rows = await cursor.fetchall()
    symbols, raw, won, ended = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Outcomes(
        symbols=np.array(symbols, np.str_),
        raw=np.array(raw, np.float64),
        won=np.array(won, np.float64),
        ended=np.array(ended, np.int64),
    )


async def current(connection: Connection, strategy: str) -> Calibration | None:
    """The newest calibration of a strategy that was taken."""
    cursor = await connection.execute(
        "SELECT model FROM calibrations WHERE strategy = %s AND taken ORDER BY number DESC LIMIT 1",
        (strategy,),
    )
    model = await _single(cursor)
    return None if model is None else _models.decode(model)


async def keep(connection: Connection, trial: Trial) -> bool:
    """Record a trial; whether there was none of the same data."""
    model = trial.model
    figures = {"raw": trial.raw, "candidate": trial.candidate, "current": trial.current}
    cursor = await connection.execute(
        """INSERT INTO calibrations (version, strategy, since, until, outcomes, taken, model, figures)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
        (
            model.version,
            model.strategy,
            model.since,
            model.until,
            model.outcomes,
            trial.taken,
            msgspec.json.encode(model).decode(),
            msgspec.json.encode(figures).decode(),
        ),
    )
    return bool(cursor.rowcount)


async def unsent(connection: Connection, most: int, sent: set[str]) -> list[Calibration]:
    """Of the last `most` calibrations of each strategy that were taken those not sent, oldest first."""
    cursor = await connection.execute(
        """SELECT model FROM (
            SELECT version, model, number,
                row_number() OVER (PARTITION BY strategy ORDER BY number DESC) AS back
            FROM calibrations WHERE taken
        ) c WHERE back <= %s AND version <> ALL(%s) ORDER BY number""",
        (most, list(sent)),
    )
    return [_models.decode(model) for (model,) in await cursor.fetchall()]


async def _single(cursor: Any) -> Any:
    row = await cursor.fetchone()
    return None if row is None else row[0]
