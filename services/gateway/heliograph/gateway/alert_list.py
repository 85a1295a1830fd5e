"""The alerts of the last days, out of the ALERT stream: each as its newest event tells it."""

import msgspec

from heliograph.common.bus import Bus
from heliograph.common.events import Alert
from heliograph.gateway.operation_records import AlertPage, AlertRecord

STREAM = "ALERT"
SUBJECT = "alert.>"
MOST_EVENTS = 5000

_decoder = msgspec.json.Decoder(Alert)


async def alert_page(bus: Bus) -> AlertPage:
    """Every alert in the newest events of the stream.

    Raises:
        UnavailableError: the stream does not answer.
    """
    upto = await bus.last_seq(STREAM)
    found: dict[tuple[str, ...], AlertRecord] = {}
    async for message in bus.read(STREAM, SUBJECT, after=max(0, upto - MOST_EVENTS), upto=upto):
        try:
            event = _decoder.decode(message.data)
        except (msgspec.DecodeError, ValueError):
            continue  # a stranger's message is no alert
        key = (event.name, *(f"{name}={value}" for name, value in sorted((event.labels or {}).items())))
        found[key] = folded(event, found.get(key))
    order = sorted(found.values(), key=lambda a: (a.state != "firing", -(a.ended_ts or a.since_ts)))
    return AlertPage(alerts=order)


def folded(event: Alert, before: AlertRecord | None) -> AlertRecord:
    """An alert after one more event; it is over since the first of the events in a row that say so."""
    began = before is None or (before.state == "resolved" and event.status == "firing")
    since = event.ts if before is None or began else before.since_ts
    over = before.ended_ts if before is not None and before.state == "resolved" else event.ts
    return AlertRecord(
        id=event.id,
        name=event.name,
        severity=event.severity,
        state=event.status,
        summary=event.summary,
        labels=event.labels or {},
        value=event.value if isinstance(event.value, float) else None,
        remedy=event.remedy or "",
        since_ts=event.since or since,
        ended_ts=over if event.status == "resolved" else None,
    )
