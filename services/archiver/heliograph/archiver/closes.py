"""The newest close of each of some symbols: what a list of symbols shows beside them."""

from typing import Any

from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.requests import Request

SYMBOLS_MOST = 500

# Without FINAL: a bar that came twice stands there twice for a while, and the newest of both is taken; of two
# in one insert the later one, which lies behind the other.
_CLOSES = """
SELECT symbol, argMax(`close`, (ts, inserted, _part_offset)), toUnixTimestamp64Nano(max(ts)) FROM bars
WHERE symbol IN {symbols:Array(String)} GROUP BY symbol
"""


async def closes(db: ClickHouse, request: Request) -> dict[str, dict[str, dict[str, Any]]]:
    """The newest archived close of each symbol and the start of its bar (UTC nanoseconds).

    Raises:
        InputError: `symbols` is not a list of at most 500 texts.
        UnavailableError: ClickHouse is away.
    """
    symbols = request.texts("symbols", SYMBOLS_MOST)
    found = await db.rows(_CLOSES, {"symbols": symbols}) if symbols else []
    return {"closes": {symbol: {"close": close, "ts": ts} for symbol, close, ts in found}}
