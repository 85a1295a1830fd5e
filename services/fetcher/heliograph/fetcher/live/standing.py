"""Where a live shard stands: its newest message tells the newest bar of every symbol."""

import json

import msgspec

from heliograph.common.bus import Stored
from heliograph.common.errors import ConfigError
from heliograph.common.events import BarBatch
from heliograph.common.intervals import interval_ns
from heliograph.fetcher.standing import describe

LIVE = "Heliograph-Live"
"""Header of the last message of each append: what the shard holds beside the symbols of that message."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a shard holds.

    Attributes:
        newest: symbol → start of its newest published bar, UTC nanoseconds.
        close_ns: the latest close of any bar published; 0 for none.
        last_seq: stream sequence of the newest message.
    """

    newest: dict[str, int]
    close_ns: int = 0
    last_seq: int = 0


class _Header(msgspec.Struct, frozen=True):
    interval: str
    close: int
    others: dict[str, int]
    """Symbol → start of the newest bar, in intervals since 1970."""


_header = msgspec.json.Decoder(_Header)
_bars = msgspec.json.Decoder(BarBatch)


def header(interval: str, close_ns: int, newest: dict[str, int], batch: BarBatch) -> str:
    """What the last message of an append carries, plain ASCII.

    Args:
        newest: of all symbols of the shard, the batch's own among them, which are left out.
    """
    length = interval_ns(interval)
    own = set(batch.symbols)
    others = {symbol: start // length for symbol, start in newest.items() if symbol not in own}
    return json.dumps({"interval": interval, "close": close_ns, "others": others}, separators=(",", ":"))


def held(last: Stored | None, interval: str) -> Held:
    """What a shard holds, by the newest message of its bars; None where there is none.

    Raises:
        ConfigError: the message is of a replay, or of another interval.
    """
    if last is None:
        return Held(newest={})
    try:
        told = _header.decode(last.headers.get(LIVE, ""))
        batch = _bars.decode(last.data)
    except msgspec.DecodeError:
        raise ConfigError(
            f"provider: live bars cannot follow a replay, but the last on {last.subject} is "
            f"{describe(last.data)}; start with an empty state folder, or go on with the replay"
        ) from None
    if told.interval != interval:
        raise ConfigError(
            f"provider: its bars are of {interval}, but the state holds live bars of {told.interval}: the "
            f"last on {last.subject} is {describe(last.data)}; start with an empty state folder"
        )
    length = interval_ns(interval)
    newest = {symbol: start * length for symbol, start in told.others.items()}
    newest.update(dict.fromkeys(batch.symbols, batch.ts))
    return Held(newest=newest, close_ns=told.close, last_seq=last.seq)
