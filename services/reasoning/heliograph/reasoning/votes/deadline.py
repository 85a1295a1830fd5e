"""How long there is to answer a request. Pure."""

from heliograph.common.clock import NANOSECONDS
from heliograph.common.events import Enrich
from heliograph.common.subjects import REQUESTS_KEPT_S

KEPT_NS = REQUESTS_KEPT_S * NANOSECONDS


def is_replayed(request: Enrich, now_ns: int) -> bool:
    """Whether its event time is so long ago that it cannot be live: REQUEST would not hold it any more."""
    return now_ns - request.ts > KEPT_NS


def seconds_left(request: Enrich, now_ns: int) -> float:
    """Seconds from now to the deadline, which is event time; 0 or less when it has passed.

    Live, event time is wall time. Nobody knows the pace of a replay: there the answer has the whole time that
    lies between the close of the bar and the deadline, from its arrival on.
    """
    whole = (request.deadline - request.ts) / NANOSECONDS
    if is_replayed(request, now_ns):
        return whole
    return min(whole, (request.deadline - now_ns) / NANOSECONDS)
