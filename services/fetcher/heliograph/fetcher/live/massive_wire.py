"""What Massive (the former Polygon) sends: frames of its WebSocket and pages of its REST interface. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from heliograph.common.errors import InputError
from heliograph.fetcher.provider import NO_TIME, Rows

MS_NS = 1_000_000
LATEST_MS = 9_000_000_000_000
"""In 2255; what is later has no nanoseconds in 64 bits."""
SHOWN = 120
"""Characters of a message that an error shows."""


class Status(msgspec.Struct, frozen=True):
    """What the server says of the connection, e.g. `auth_success`, `success`, `max_connections`."""

    status: str
    message: str


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the WebSocket.

    Attributes:
        rows: its minute bars; `garbage` counts parts that are no events at all.
    """

    statuses: list[Status]
    rows: Rows
    garbage: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of `/v2/aggs`; `following` is the address of the next page, empty at the end."""

    rows: Rows
    following: str


def frame(data: str | bytes, origin: str) -> Frame:
    """Read a message of the WebSocket; fields that are not known are passed over.

    Raises:
        InputError: it is not JSON, or not a list.
    """
    parts = _decoded(data)
    if not isinstance(parts, list):
        raise InputError(f"message: {_shown(data)}, expected a JSON list of events")
    events = [part for part in parts if isinstance(part, dict)]
    statuses = [
        Status(str(e.get("status", "")), str(e.get("message", ""))) for e in events if e.get("ev") == "status"
    ]
    bars = [e for e in events if e.get("ev") == "AM" and isinstance(e.get("sym"), str)]
    other = sum(isinstance(e.get("ev"), str) and e["ev"] not in ("AM", "status") for e in events)
    return Frame(
        statuses=statuses,
        rows=_rows(origin, [e["sym"] for e in bars], bars, "s"),
        garbage=len(parts) - len(statuses) - len(bars) - other,
    )


def page(data: bytes, symbol: str) -> Page:
    """Read a page of bars of one symbol.

    Raises:
        InputError: it is not what `/v2/aggs` answers.
    """
    answer = _decoded(data)
    if not isinstance(answer, dict):
        raise InputError(f"answer: {_shown(data)}, expected a JSON object")
    results = answer.get("results")
    results = [] if results is None else results
    if not isinstance(results, list):
        raise InputError(f"results: {_shown(str(results))}, expected a list of bars")
    following = answer.get("next_url") or ""
    if not isinstance(following, str):
        raise InputError(f"next_url: {_shown(str(following))}, expected a text")
    bars = [bar if isinstance(bar, dict) else {} for bar in results]
    return Page(rows=_rows("massive history", [symbol] * len(bars), bars, "t"), following=following)


def no_rows(origin: str) -> Rows:
    """A sign of life."""
    return _rows(origin, [], [], "s")


def _decoded(data: str | bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError(f"message: {_shown(data)}, expected JSON") from None


def _rows(origin: str, names: Sequence[str], bars: Sequence[dict[str, Any]], time: str) -> Rows:
    symbols = list(dict.fromkeys(names))
    number = {symbol: n for n, symbol in enumerate(symbols)}
    columns = {name: [_number(bar.get(name)) for bar in bars] for name in "ohlcv"}
    return Rows(
        origin=origin,
        symbols=symbols,
        code=np.array([number[name] for name in names], dtype=np.int32),
        ts=np.array([_time(bar.get(time)) for bar in bars], dtype=np.int64),
        open=np.array(columns["o"], dtype=np.float64),
        high=np.array(columns["h"], dtype=np.float64),
        low=np.array(columns["l"], dtype=np.float64),
        close=np.array(columns["c"], dtype=np.float64),
        volume=np.array(columns["v"], dtype=np.float64),
    )


def _number(value: object) -> float:
    """NaN for what is no number, which the quality gate refuses."""
    try:
        return (
            float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
        )
    except OverflowError:
        return float("inf")


def _time(value: object) -> int:
    """The start of a bar: it is sent as milliseconds since 1970, UTC."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LATEST_MS:
        return value * MS_NS
    return NO_TIME


def _shown(data: str | bytes) -> str:
    text = data if isinstance(data, str) else data.decode(errors="replace")
    return repr(text[:SHOWN])
