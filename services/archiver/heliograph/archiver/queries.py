"""What others may ask of ClickHouse: traces, bars, trace edges. Times are UTC nanoseconds."""

import json
from typing import Any

from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.requests import Request
from heliograph.common.intervals import INTERVALS_NS

BARS_DEFAULT = 1000
BARS_MOST = 20_000
SPANS_MOST = 10_000
END_OF_TIME = (1 << 63) - 1
RECENT = 4
"""So many times the time that the bars asked for take if none is missing: nights and weekends fit in."""

_PERIOD = """ts BETWEEN fromUnixTimestamp64Nano({from:Int64}, 'UTC')
    AND fromUnixTimestamp64Nano({to:Int64}, 'UTC')"""
_NEWEST = f"""
SELECT interval, toUnixTimestamp64Nano(max(ts)) AS newest FROM bars
WHERE symbol = {{symbol:String}} AND {_PERIOD}
    AND ({{interval:String}} = '' OR interval = {{interval:String}})
GROUP BY interval ORDER BY newest DESC, interval
"""  # noqa: S608 - its parts are our own
_MOST_BARS = f"""
SELECT interval FROM bars
WHERE symbol = {{symbol:String}} AND interval IN {{intervals:Array(String)}} AND {_PERIOD}
GROUP BY interval ORDER BY uniqExact(ts) DESC, interval LIMIT 1
"""  # noqa: S608 - its parts are our own
_BARS = f"""
SELECT toUnixTimestamp64Nano(ts), `open`, high, low, `close`, volume FROM bars FINAL
WHERE symbol = {{symbol:String}} AND interval = {{interval:String}} AND {_PERIOD} AND ts >= (
    SELECT min(ts) FROM (SELECT DISTINCT ts FROM bars
        WHERE symbol = {{symbol:String}} AND interval = {{interval:String}} AND {_PERIOD}
        ORDER BY ts DESC LIMIT {{limit:UInt32}}))
ORDER BY ts DESC LIMIT {{limit:UInt32}}
"""  # noqa: S608 - its parts are our own
"""Only as far back as the answer goes are bars that came twice sorted out."""
_SPANS = """
SELECT trace_id, span_id, parent_id, name, kind, service,
    toUnixTimestamp64Nano(start), toUnixTimestamp64Nano(end), status, attributes, links
FROM spans FINAL WHERE trace_id IN ({traces}) ORDER BY start, span_id LIMIT {{limit:UInt32}}
"""
_TRACES_OF_SIGNAL = "SELECT trace_id FROM spans WHERE signal = {id:String}"
_EDGES = """
SELECT parent.service, parent.name, child.service, child.name, count()
FROM (SELECT trace_id, parent_id, service, name FROM spans FINAL WHERE parent_id != '') AS child
JOIN (SELECT trace_id, span_id, service, name FROM spans FINAL) AS parent
    ON child.trace_id = parent.trace_id AND child.parent_id = parent.span_id
GROUP BY ALL ORDER BY ALL
"""


async def trace(db: ClickHouse, request: Request) -> dict[str, Any]:
    """The spans of a trace, or of the traces that a signal is in, the earliest first.

    Raises:
        InputError: neither `trace_id` nor `signal` is given, or both.
        UnavailableError: ClickHouse is away.
    """
    field = request.one_of("trace_id", "signal")
    inner = _TRACES_OF_SIGNAL if field == "signal" else "{id:String}"
    found = await db.rows(_SPANS.format(traces=inner), {"id": request.text(field), "limit": SPANS_MOST})
    return {"spans": [_span(row) for row in found]}


async def bars(db: ClickHouse, request: Request) -> dict[str, Any]:
    """The newest bars of a symbol between `from` and `to` (both included), the earliest first, by columns.

    Without `interval` it is that of the symbol's newest bar. A symbol without bars gives empty columns.

    Raises:
        InputError: a field is missing or wrong.
        UnavailableError: ClickHouse is away.
    """
    parameters: dict[str, Any] = {
        "symbol": request.text("symbol"),
        "from": request.integer("from", 0, least=-END_OF_TIME, most=END_OF_TIME),
        "to": request.integer("to", END_OF_TIME, least=-END_OF_TIME, most=END_OF_TIME),
    }
    limit = request.integer("limit", BARS_DEFAULT, least=1, most=BARS_MOST)
    newest = await db.rows(_NEWEST, {**parameters, "interval": request.text("interval", "")})
    if not newest:
        return _columns(request.text("interval", ""), [])
    ties = [interval for interval, ts in newest if ts == newest[0][1]]
    if len(ties) > 1:
        ties = [row[0] for row in await db.rows(_MOST_BARS, {**parameters, "intervals": ties})]
    interval, last = ties[0], int(newest[0][1])
    wanted = {**parameters, "interval": interval, "limit": limit}
    # What is asked for lies nearly always at the end of the period, and the engine need not read the rest.
    length = INTERVALS_NS.get(interval, END_OF_TIME)
    recent = max(parameters["from"], last - RECENT * limit * length)
    found = await db.rows(_BARS, {**wanted, "from": recent})
    if len(found) < limit and recent > parameters["from"]:
        found = await db.rows(_BARS, wanted)
    return _columns(interval, found)


def _columns(interval: str, found: list[tuple[Any, ...]]) -> dict[str, Any]:
    columns = list(zip(*reversed(found), strict=True)) or [()] * 6
    names = ("ts", "open", "high", "low", "close", "volume")
    return {"interval": interval, **{name: list(column) for name, column in zip(names, columns, strict=True)}}


async def edges(db: ClickHouse) -> list[dict[str, Any]]:
    """Which span follows from which, over all traces: the services, the names, how often.

    Raises:
        UnavailableError: ClickHouse is away.
    """
    names = ("parent_service", "parent_name", "service", "name", "count")
    return [dict(zip(names, row, strict=True)) for row in await db.rows(_EDGES)]


async def versions(db: ClickHouse) -> dict[str, str]:
    """The version of the engine.

    Raises:
        UnavailableError: ClickHouse is away.
    """
    [(version,)] = await db.rows("SELECT version()")
    return {"clickhouse": version}


def _span(row: tuple[Any, ...]) -> dict[str, Any]:
    trace_id, span_id, parent_id, name, kind, service, start, end, status, attributes, links = row
    return {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_id": parent_id,
        "name": name,
        "kind": kind,
        "service": service,
        "start_ns": start,
        "end_ns": end,
        "status": status,
        "attributes": json.loads(attributes),
        "links": list(links),
    }
