"""What Massive (the former Polygon) sends: frames of its WebSocket and pages of its REST interface. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from heliograph.common.errors import InputError
from heliograph.fetcher.live.columns import columns, decoded, number, shown
from heliograph.fetcher.provider import NO_TIME, Rows

MS_NS = 1_000_000
LATEST_MS = 9_000_000_000_000
"""In 2255; what is later has no nanoseconds in 64 bits."""


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
    parts = decoded(data)
    if not isinstance(parts, list):
        raise InputError(f"message: {shown(data)}, expected a JSON list of events")
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
    answer = decoded(data)
    if not isinstance(answer, dict):
        raise InputError(f"answer: {shown(data)}, expected a JSON object")
    results = answer.get("results")
    results = [] if results is None else results
    if not isinstance(results, list):
        raise InputError(f"results: {shown(str(results))}, expected a list of bars")
    following = answer.get("next_url") or ""
    if not isinstance(following, str):
        raise InputError(f"next_url: {shown(str(following))}, expected a text")
    bars = [bar if isinstance(bar, dict) else {} for bar in results]
    return Page(rows=_rows("massive history", [symbol] * len(bars), bars, "t"), following=following)


def _rows(origin: str, names: Sequence[str], bars: Sequence[dict[str, Any]], time: str) -> Rows:
    values = [
        (number(b.get("o")), number(b.get("h")), number(b.get("l")), number(b.get("c")), number(b.get("v")))
        for b in bars
    ]
    return columns(origin, names, [_time(bar.get(time)) for bar in bars], values)


def _time(value: object) -> int:
    """The start of a bar: it is sent as milliseconds since 1970, UTC."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LATEST_MS:
        return value * MS_NS
    return NO_TIME
