"""What the API answers: the shapes that stand in its OpenAPI document."""

from typing import Any

import msgspec

from heliograph.common.events import Outcome, Reason, Signal


class SignalRecord(Signal, frozen=True, kw_only=True, tag="signal", gc=False):
    """A signal with its reason and its outcome, each null until it has come."""

    reason: Reason | None = None
    outcome: Outcome | None = None


class SignalPage(msgspec.Struct, frozen=True, kw_only=True):
    """Signals, newest first."""

    signals: list[SignalRecord]


class TrackerStats(msgspec.Struct, frozen=True, kw_only=True):
    """The tracker's counts; `win_rate` is wins / (wins + losses), null before either."""

    signals: int
    open: int
    wins: int
    losses: int
    expired: int
    win_rate: float | None
    reasons: int
    outcomes: int
    due_without_outcome: int = 0


class RefusedChanges(msgspec.Struct, frozen=True, kw_only=True):
    """How many changes of the record were refused."""

    total: int


class ArchiveCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in the archive, each counted once."""

    bars: int
    signals: int
    reasons: int
    outcomes: int
    spans: int


class Stats(TrackerStats, frozen=True, kw_only=True):
    """The tracker's counts beside the archive's; `archived` is null while the archiver is away."""

    archived: ArchiveCounts | None


class BarSeries(msgspec.Struct, frozen=True, kw_only=True):
    """Bars of one symbol by columns, oldest first; `ts` is the start of each, UTC nanoseconds."""

    interval: str
    ts: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]


class SpanLink(msgspec.Struct, frozen=True, kw_only=True):
    """Another span that this one comes from."""

    trace_id: str
    span_id: str


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work in a trace; `parent_id` is empty for a root."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    name: str
    kind: str
    service: str
    start_ns: int
    end_ns: int
    status: str = "unset"
    attributes: dict[str, Any] = {}
    links: list[SpanLink] = []


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The spans of a trace."""

    spans: list[Span]


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One running process of a service, as it describes itself."""

    service: str
    member: str
    shards: list[int] = []
    ready: bool = True
    problems: dict[str, str] = {}
    probe: str = ""
    status: dict[str, Any] = {}


class ConsumerLag(msgspec.Struct, frozen=True, kw_only=True):
    """A service's position in a stream: messages not yet acknowledged, over its shards."""

    service: str
    lag: int
    shards: dict[str, int]


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """A stream and who reads it."""

    name: str
    messages: int
    bytes: int
    consumers: list[ConsumerLag]


class System(msgspec.Struct, frozen=True, kw_only=True):
    """Every replica that answered, and every stream."""

    shards: int
    replicas: list[Replica]
    streams: list[StreamState]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`pass`, or `fail` with what is wrong."""

    status: str
    problems: dict[str, str] = {}


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not answered."""

    error: str
