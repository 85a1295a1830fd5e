"""The outcome rule: the one pure function that closes a signal, in the consensus and in the tracker.

Plain arithmetic over numbers, so that both compile it with numba and the tests run it as it is.
"""

OPEN = 0
WIN = 1
LOSS = 2
EXPIRED = 3

DEFAULT_EXPIRY_DAYS = 30


def close_by_bar(
    side: int,
    stop: float,
    target: float,
    expires: int,
    bar_ts: int,
    bar_close_ts: int,
    open_: float,
    high: float,
    low: float,
    close: float,
) -> tuple[int, float]:
    """What one later bar does to an open signal.

    A bar that opens beyond a level fills at its open; both levels inside one bar count as the stop; a bar
    that starts at or after `expires`, or closes at or after it untouched, expires the signal at its close.

    Args:
        side: +1 for BUY, −1 for SELL.
        stop: price of the stop; `target` of the target, on the other side of entry.
        expires: event time, nanoseconds.
        bar_ts: start of the bar; `bar_close_ts` its close, nanoseconds.
        open_: the bar's prices; `high`, `low`, `close` likewise.

    Returns:
        OPEN, WIN, LOSS or EXPIRED, and the exit price (0.0 while open).
    """
    if bar_ts >= expires:
        return EXPIRED, close
    if side * (open_ - stop) <= 0.0:
        return LOSS, open_
    if side * (open_ - target) >= 0.0:
        return WIN, open_
    adverse, favourable = (low, high) if side > 0 else (high, low)
    if side * (adverse - stop) <= 0.0:
        return LOSS, stop
    if side * (favourable - target) >= 0.0:
        return WIN, target
    if bar_close_ts >= expires:
        return EXPIRED, close
    return OPEN, 0.0
