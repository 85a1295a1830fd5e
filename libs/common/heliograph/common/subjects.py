"""Subjects and streams: the addresses of every event."""

import re

import msgspec

from heliograph.common.errors import InputError

DAY_S = 86_400
REQUESTS_KEPT_S = 3_600
"""So old no request of live data is ever found: an older one is of a replay."""
MAX_SYMBOL_BYTES = 64
_UNSAFE = re.compile(r"[.*>%\s]")


def check_symbol(symbol: str) -> str:
    """The symbol itself.

    Raises:
        InputError: it is empty, too long, or holds a character that does not print.
    """
    if (
        not symbol
        or len(symbol.encode()) > MAX_SYMBOL_BYTES
        or not symbol.isprintable()
        or not symbol.strip()
    ):
        raise InputError(
            f"symbol: {symbol!r}, expected 1 to {MAX_SYMBOL_BYTES} bytes of printable characters"
        )
    return symbol


def encode_symbol(symbol: str) -> str:
    """A symbol as one token of a subject: `.`, `*`, `>`, `%` and white space percent-encoded."""
    return _UNSAFE.sub(lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), symbol)


def bars(shard: int | str) -> str:
    """Where the bars of a shard travel."""
    return f"input.bars.{shard}"


def votes(shard: int | str) -> str:
    """Where votes from outside on symbols of a shard travel."""
    return f"input.votes.{shard}"


def tick(shard: int | str) -> str:
    """Where event time is told to a shard."""
    return f"input.tick.{shard}"


def inputs(shard: int | str) -> str:
    """Bars, votes and ticks of a shard, in the order of their sequence."""
    return f"input.*.{shard}"


def request(shard: int | str) -> str:
    """Where a shard asks for votes."""
    return f"request.{shard}"


def handled(service: str, shard: int | str) -> str:
    """Where a service says how far it has handled a shard; a core subject, nothing is stored."""
    return f"handled.{service}.{shard}"


def signal(shard: int | str, symbol: str | None = None) -> str:
    """Where a shard's signals travel; all symbols without one."""
    return f"signal.{shard}.{'>' if symbol is None else encode_symbol(symbol)}"


def reason(shard: int | str, symbol: str | None = None) -> str:
    """Where a shard's reasons travel; all symbols without one."""
    return f"reason.{shard}.{'>' if symbol is None else encode_symbol(symbol)}"


def outcome(shard: int | str, symbol: str | None = None) -> str:
    """Where a shard's outcomes travel; all symbols without one."""
    return f"outcome.{shard}.{'>' if symbol is None else encode_symbol(symbol)}"


def analysis(run: str, agent: str) -> str:
    """Where one agent of a panel run reports; the verdicts come from the portfolio manager."""
    return f"analysis.{run}.{agent}"


def dead(service: str, shard: int | str) -> str:
    """Where a service's dead letters travel."""
    return f"dead.{service}.{shard}"


def spans(service: str) -> str:
    """Where a service's finished spans travel."""
    return f"span.{service}"


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A JetStream stream: its subjects and how long it keeps them.

    Attributes:
        passing: what it holds is of no worth a moment later, so that it is deleted and made again where it
            was made with another retention, which cannot be changed.
    """

    name: str
    subjects: tuple[str, ...]
    max_age_s: float
    passing: bool = False


STREAMS: tuple[Stream, ...] = (
    Stream(name="INPUT", subjects=("input.bars.*", "input.votes.*", "input.tick.*"), max_age_s=45 * DAY_S),
    Stream(name="REQUEST", subjects=("request.*",), max_age_s=REQUESTS_KEPT_S, passing=True),
    Stream(name="SIGNAL", subjects=("signal.*.*",), max_age_s=30 * DAY_S),
    Stream(name="REASON", subjects=("reason.*.*",), max_age_s=30 * DAY_S),
    Stream(name="OUTCOME", subjects=("outcome.*.*",), max_age_s=30 * DAY_S),
    Stream(name="ANALYSIS", subjects=("analysis.*.*",), max_age_s=7 * DAY_S),
    Stream(name="ALERT", subjects=("alert.*",), max_age_s=7 * DAY_S),
    Stream(name="DEAD", subjects=("dead.*.*",), max_age_s=30 * DAY_S),
    Stream(name="SPAN", subjects=("span.*",), max_age_s=DAY_S),
)
