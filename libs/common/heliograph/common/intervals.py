"""Bar intervals by their usual names: `1m`, `15m`, `1h`, `1d`."""

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError

INTERVALS_NS: dict[str, int] = {
    name: seconds * NANOSECONDS
    for name, seconds in {
        "1m": 60,
        "5m": 300,
        "15m": 900,
        "30m": 1800,
        "1h": 3600,
        "4h": 14400,
        "1d": 86400,
        "1w": 604800,
    }.items()
}


def interval_ns(name: str) -> int:
    """The length of an interval in nanoseconds.

    Raises:
        InputError: the name is not one of `INTERVALS_NS`.
    """
    try:
        return INTERVALS_NS[name]
    except KeyError:
        raise InputError(f"interval: {name!r} is not one of {', '.join(INTERVALS_NS)}") from None


def interval_of(step_ns: int) -> str:
    """The name of the longest known interval not longer than a step between bars (at least `1m`)."""
    fitting = [name for name, length in INTERVALS_NS.items() if length <= step_ns]
    return fitting[-1] if fitting else "1m"
