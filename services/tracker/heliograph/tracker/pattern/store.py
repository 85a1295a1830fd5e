"""Cases, scalers and vectors of the pattern search in Postgres, with pgvector."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import msgspec
import numpy as np

from heliograph.common.patterns import VOLATILITY, PatternCase
from heliograph.tracker.database import Connection
from heliograph.tracker.pattern.expectation import ENDS
from heliograph.tracker.pattern.memory import EndedCase
from heliograph.tracker.pattern.scaler import Scaler, Vectors, fit

LOCK = 0x6865_6C69_6F03
"""Advisory lock of those who write cases: a new scaler makes vectors of all of them, and none is left out."""
FIRST = 100
"""Cases for the first scaler; the next is made when there are twice as many as the last was fitted on."""
PAGE = 5000

_scalers = msgspec.json.Decoder(Scaler)


async def keep(connection: Connection, cases: Sequence[PatternCase]) -> int:
    """Record cases with their vectors, in one transaction; how many were not there before."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        cursor = await connection.execute(
            """INSERT INTO pattern_cases (signal, symbol, ts, features)
            SELECT c ->> 'signal', c ->> 'symbol', (c ->> 'ts')::bigint,
                ARRAY(SELECT f::double precision FROM json_array_elements_text(c -> 'features') f)
            FROM json_array_elements(%s::json) c ON CONFLICT DO NOTHING RETURNING signal, features""",
            (msgspec.json.encode(cases).decode(),),
        )
        new = await cursor.fetchall()
        if not new:
            return 0
        scaler = await newest(connection)
        cursor = await connection.execute("SELECT count(*), max(ts) FROM pattern_cases")
        ((count, until),) = await cursor.fetchall()
        if count >= (FIRST if scaler is None else 2 * scaler.cases):
            await _vectorise(connection, *await _fitted(connection, until))
        elif scaler is not None:
            await _vectorise(connection, scaler, new)
    return len(new)


async def newest(connection: Connection) -> Scaler | None:
    """The newest scaler; None before there are enough cases."""
    cursor = await connection.execute("SELECT scaler FROM pattern_scalers ORDER BY number DESC LIMIT 1")
    row = await cursor.fetchone()
    return None if row is None else _scalers.decode(row[0])


async def _fitted(connection: Connection, until: int) -> tuple[Scaler, list[tuple[str, list[float]]]]:
    """A scaler fitted on all cases, recorded, and all cases."""
    cursor = await connection.execute("SELECT signal, features FROM pattern_cases ORDER BY ts, signal")
    every = await cursor.fetchall()
    scaler = fit(np.array([features for _, features in every]), until)
    await connection.execute(
        "INSERT INTO pattern_scalers (version, until, cases, scaler) VALUES (%s, %s, %s, %s)",
        (scaler.version, scaler.until, scaler.cases, msgspec.json.encode(scaler).decode()),
    )
    return scaler, [(signal, features) for signal, features in every]


async def _vectorise(
    connection: Connection, scaler: Scaler, cases: Sequence[tuple[str, list[float]]]
) -> None:
    vectors = scaler.vectors([features for _, features in cases])
    async with connection.cursor().copy("COPY pattern_vectors (scaler, signal, vector) FROM STDIN") as copy:
        for (signal, _), vector in zip(cases, vectors.tolist(), strict=True):
            await copy.write_row((scaler.version, signal, str(vector)))


async def now(connection: Connection) -> datetime:
    """The server's time."""
    cursor = await connection.execute("SELECT clock_timestamp()")
    found: datetime
    ((found,),) = await cursor.fetchall()
    return found


async def ended(
    connection: Connection, scaler: Scaler, since: datetime | None
) -> AsyncIterator[tuple[list[EndedCase], Vectors]]:
    """Cases with an outcome, page by page, with their vectors: those whose case or outcome came since a time.

    The connection must be in a transaction.
    """
    page = connection.cursor("ended_cases")
    await page.execute(
        """SELECT c.signal, c.symbol, c.features[%(regime)s]::int, o.ts, o.r_multiple, o.bars, o.result,
            v.vector::real[]
        FROM pattern_cases c JOIN outcomes o ON o.signal = c.signal
        JOIN pattern_vectors v ON v.scaler = %(scaler)s AND v.signal = c.signal
        WHERE %(since)s::timestamptz IS NULL OR c.signal IN (
            SELECT signal FROM outcomes WHERE created >= %(since)s
            UNION ALL SELECT signal FROM pattern_cases WHERE created >= %(since)s
        ) ORDER BY o.ts, c.signal""",
        {"scaler": scaler.version, "since": since, "regime": VOLATILITY + 1},
    )
    while rows := await page.fetchmany(PAGE):
        cases = [
            EndedCase(signal, symbol, regime, ts, r, bars, ENDS[result])
            for signal, symbol, regime, ts, r, bars, result, _ in rows
        ]
        yield cases, np.array([row[-1] for row in rows], np.float32)
    await page.close()
