"""Spans out by OTLP over HTTP, for a collector."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

if TYPE_CHECKING:
    from heliograph.common.telemetry import Record

SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class OtlpExport:
    """Sends spans to an endpoint such as `http://collector:4318`; what it refuses is lost, as OTLP has it."""

    def __init__(self, endpoint: str, service: str, member: str) -> None:
        self._exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
        self._resource = Resource({"service.name": f"heliograph-{service}", "service.instance.id": member})

    def export(self, records: "Sequence[Record]") -> None:
        """Send some spans; blocks until the collector has answered."""
        self._exporter.export([self._span(record) for record in records])

    def _span(self, record: "Record") -> ReadableSpan:
        error = record.status == "error"
        return ReadableSpan(
            name=record.name,
            context=context(record.trace_id, record.span_id),
            parent=context(record.trace_id, record.parent_id) if record.parent_id else None,
            resource=self._resource,
            attributes=record.attributes,
            links=[Link(context(link["trace_id"], link["span_id"])) for link in record.links],
            kind=SpanKind[record.kind.upper()],
            status=Status(StatusCode.ERROR if error else StatusCode.UNSET),
            start_time=record.start_ns,
            end_time=record.end_ns,
        )


def context(trace_id: str, span_id: str) -> SpanContext:
    """A span's identity in OpenTelemetry's form."""
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=SAMPLED)
