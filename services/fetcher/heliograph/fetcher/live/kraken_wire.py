"""What Kraken sends: messages of its WebSocket v2 and answers of its REST interface. Pure.

Formats: docs.kraken.com, `exchange/api-reference/spot-websocket-v2/ohlc` (candles, acknowledgements),
`…/spot-websocket-v2` (status, heartbeat, pong) and `api-reference/market-data/get-ohlc-data`.
"""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError
from heliograph.fetcher.live.columns import Values, decoded, number, shown
from heliograph.fetcher.provider import NO_TIME

CHANNEL: Final = "ohlc"
INTERVAL: Final = 1
"""Minutes of a candle."""
LATEST_S = 9_000_000_000
"""In 2255; what is later has no nanoseconds in 64 bits."""
FIELDS = 8
"""Of a candle by REST: time, open, high, low, close, volume-weighted price, volume, trades."""
RENAMED = {"BTC": "XBT", "DOGE": "XDG"}
"""What REST calls otherwise than the WebSocket."""


class Candle(msgspec.Struct, frozen=True, gc=False):
    """A minute of a pair as far as it has come: its start (UTC nanoseconds, or `NO_TIME`), values, trades."""

    symbol: str
    start: int
    values: Values
    trades: float


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is said to a subscription, or to its end, of one symbol."""

    method: str
    symbol: str
    success: bool
    error: str = ""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the WebSocket; a heartbeat has nothing.

    Attributes:
        candles: `snapshot` tells whether they are what there was before the subscription.
        system: state of the exchange where it is told, e.g. `online`.
        garbage: parts that are no candles at all.
    """

    candles: list[Candle] = []
    snapshot: bool = False
    answer: Answer | None = None
    system: str = ""
    garbage: int = 0


class History(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of `/0/public/OHLC`: the candles that change no more.

    Attributes:
        errors: what Kraken says against the question; it says so with status 200.
    """

    candles: list[Candle] = []
    errors: list[str] = []


def pair_of(symbol: str) -> str:
    """The name of a pair in REST: `XBTUSD` for `BTC/USD`."""
    return "".join(RENAMED.get(name, name) for name in symbol.split("/"))


def message(data: str | bytes) -> Message:
    """Read a message of the WebSocket; channels and methods that are not asked for are passed over.

    Raises:
        InputError: it is not JSON, or not an object.
    """
    told = decoded(data)
    if not isinstance(told, dict):
        raise InputError(f"message: {shown(data)}, expected a JSON object")
    if told.get("method") in ("subscribe", "unsubscribe"):
        return Message(answer=_answer(told))
    parts = told.get("data")
    parts = parts if isinstance(parts, list) else []
    if told.get("channel") == "status":
        system = next((p.get("system") for p in parts if isinstance(p, dict)), "")
        return Message(system=system if isinstance(system, str) else "")
    if told.get("channel") != CHANNEL:
        return Message()
    candles = [
        _candle(part) for part in parts if isinstance(part, dict) and isinstance(part.get("symbol"), str)
    ]
    return Message(
        candles=candles, snapshot=told.get("type") == "snapshot", garbage=len(parts) - len(candles)
    )


def history(data: bytes, symbol: str) -> History:
    """Read an answer about one pair.

    The last entry is the running candle, however old the question's `since`; `last` names the newest one
    that changes no more.

    Raises:
        InputError: it is not what `/0/public/OHLC` answers.
    """
    told = decoded(data)
    if not isinstance(told, dict):
        raise InputError(f"answer: {shown(data)}, expected a JSON object")
    if errors := errors_of(told):
        return History(errors=errors)
    result = told.get("result")
    if not isinstance(result, dict):
        raise InputError(f"result: {shown(str(result))}, expected an object")
    last = result.get("last")
    if isinstance(last, bool) or not isinstance(last, int):
        raise InputError(f"last: {shown(str(last))}, expected seconds since 1970")
    entries = next((entries for name, entries in result.items() if name != "last"), None)
    if not isinstance(entries, list):
        raise InputError(f"result: {shown(str(entries))}, expected a list of candles")
    candles = [_entry(symbol, entry) for entry in entries]
    return History(candles=[c for c in candles if c.start <= last * NANOSECONDS])


def errors_of(told: dict[str, Any]) -> list[str]:
    """What an answer of REST names as errors."""
    errors = told.get("error")
    return [str(error) for error in errors] if isinstance(errors, list) else []


def _answer(told: dict[str, Any]) -> Answer:
    result = told.get("result")
    symbol = told.get("symbol", result.get("symbol") if isinstance(result, dict) else None)
    return Answer(
        method=told["method"],
        symbol=symbol if isinstance(symbol, str) else "",
        success=told.get("success") is True,
        error=str(told.get("error", "")),
    )


def _candle(part: dict[str, Any]) -> Candle:
    opened, high, low, close, volume = (
        number(part.get(n)) for n in ("open", "high", "low", "close", "volume")
    )
    start = _begin(part.get("interval_begin")) if part.get("interval", INTERVAL) == INTERVAL else NO_TIME
    return Candle(part["symbol"], start, (opened, high, low, close, volume), number(part.get("trades")))


def _entry(symbol: str, entry: Any) -> Candle:
    cells = entry if isinstance(entry, list) and len(entry) == FIELDS else [None] * FIELDS
    start, opened, high, low, close, _, volume, trades = cells
    values = (_text(opened), _text(high), _text(low), _text(close), _text(volume))
    return Candle(symbol, _seconds(start), values, number(trades))


def _text(value: object) -> float:
    """A number that is sent as a text, so that no digit is lost."""
    try:
        return float(value) if isinstance(value, str) else number(value)
    except ValueError:
        return float("nan")


def _seconds(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LATEST_S:
        return NO_TIME
    return value * NANOSECONDS


def _begin(value: object) -> int:
    """A time by RFC 3339, of which the whole seconds tell."""
    try:
        at = datetime.fromisoformat(value if isinstance(value, str) else "").astimezone(UTC)
    except (ValueError, OverflowError):
        return NO_TIME
    return _seconds(int(at.timestamp()))
