"""The newest minutes of many symbols in one answer of Massive (formerly Polygon): its snapshot. Pure."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import numpy as np

from heliograph.common.errors import InputError
from heliograph.fetcher.provider import Numbers, Rows

MILLISECOND_NS = 1_000_000
LATEST_MS = np.iinfo(np.int64).max // MILLISECOND_NS
PATHS = {
    "stocks": "/v2/snapshot/locale/us/markets/stocks/tickers",
    "crypto": "/v2/snapshot/locale/global/markets/crypto/tickers",
}


class Minute(msgspec.Struct, frozen=True, gc=False):
    """The newest minute of a symbol as far as it has come: its start, UTC nanoseconds, and its bar."""

    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class _Ticker(msgspec.Struct):
    ticker: str = ""
    min: Any = None


class _Snapshot(msgspec.Struct):
    tickers: list[_Ticker] | None = None


_DECODER = msgspec.json.Decoder(_Snapshot)


def read(body: bytes, wanted: Collection[str]) -> dict[str, Minute]:
    """The newest minute of each ticker that the answer tells of.

    A ticker without one is left out: unknown to the provider, or not traded since the snapshot was cleared in
    the night (its time is then 0). A value that is no number is NaN, and the quality gate's to refuse.

    Args:
        body: of the answer.
        wanted: the tickers that were asked for; others are left out.

    Raises:
        InputError: the answer is no snapshot at all.
    """
    try:
        told = _DECODER.decode(body).tickers
    except msgspec.DecodeError as error:
        raise InputError(f"snapshot: {error}; it begins with {body[:60]!r}") from None
    if told is None:
        raise InputError(f"snapshot: expected tickers; it begins with {body[:60]!r}")
    found = {}
    for row in told:
        if row.ticker not in wanted or not isinstance(row.min, dict):
            continue
        ts = _time(row.min.get("t"))
        if ts is not None:
            found[row.ticker] = Minute(ts, *(_number(row.min.get(name)) for name in "ohlcv"))
    return found


def rows_of(origin: str, minutes: Sequence[tuple[str, Minute]]) -> Rows:
    """Minutes of distinct symbols by columns."""

    def column(name: str) -> Numbers:
        return np.array([getattr(minute, name) for _, minute in minutes], dtype=np.float64)

    return Rows(
        origin=origin,
        symbols=[symbol for symbol, _ in minutes],
        code=np.arange(len(minutes), dtype=np.int32),
        ts=np.array([minute.ts for _, minute in minutes], dtype=np.int64),
        open=column("open"),
        high=column("high"),
        low=column("low"),
        close=column("close"),
        volume=column("volume"),
    )


def _time(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 < value <= LATEST_MS:
        return None
    return int(value) * MILLISECOND_NS


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    return float(value)
