"""Sends spans to a collector by OTLP over gRPC, with OpenTelemetry's SDK:
its batches, its retries and its thread."""

import asyncio
import threading
import time
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from pilothouse.process.version import VERSION
from pilothouse.spans import CLIENT, INTERNAL, SERVER, Parent, Span, Trace
from pilothouse.tracing.metrics import NOT_TAKEN, QUEUE_FULL, TracingMetrics

MOST = 2048
"""Spans that wait for the collector, those included that are being sent. What comes on top is dropped."""
BATCH = 128
"""Spans that are sent at once: their encoding takes some milliseconds,
for which the loop may have to wait."""
DELAY = 5.0
"""Seconds after which spans are sent though they are few, as OpenTelemetry's SDKs have it."""
PATIENCE = 10.0
"""Seconds for which a collector that does not answer is asked to take one batch."""
CLOSING = 2.0
"""Seconds for the last spans when the server stops."""

KINDS = {INTERNAL: SpanKind.INTERNAL, SERVER: SpanKind.SERVER, CLIENT: SpanKind.CLIENT}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE = InstrumentationScope("pilothouse", VERSION)


class Exporter:
    """Takes the spans of requests that have ended, without waiting; a thread sends them.

    target: the collector, as gRPC names it. instance: the name of this API server. delay: see DELAY.
    """

    def __init__(self, target: str, instance: str, metrics: TracingMetrics, delay: float = DELAY) -> None:
        self._metrics = metrics
        self._resource = Resource({"service.name": "apiserver", "service.instance.id": instance})
        self._client = _Counted(OTLPSpanExporter(endpoint=target, insecure=True, timeout=PATIENCE), metrics)
        self._taken = 0
        self._processor = BatchSpanProcessor(
            self._client,
            max_queue_size=2 * MOST,  # never reached: what comes on top of MOST is counted here
            schedule_delay_millis=delay * 1e3,
            max_export_batch_size=BATCH,
        )

    def take(self, trace: Trace) -> None:
        """Queue the spans of a trace to be sent, as far as there is room."""
        room = max(MOST - (self._taken - self._client.done), 0)
        spans = trace.spans[:room]
        lost = len(trace.spans) - len(spans) + trace.left_out
        if lost:
            self._metrics.dropped.inc(QUEUE_FULL, by=lost)
        wall = time.time() - time.perf_counter()
        for span in spans:
            self._taken += 1
            self._processor.on_end(self._readable(span, wall))

    def _readable(self, span: Span, wall: float) -> ReadableSpan:
        """A span in OpenTelemetry's form. `wall` is what time.perf_counter() lacks to Unix seconds."""
        trace, remote, link = span.trace, span.trace.remote, span.trace.link
        state = TraceState.from_header([trace.state]) if trace.state else TraceState()
        own = SpanContext(trace.trace_id, span.id, is_remote=False, trace_flags=_SAMPLED, trace_state=state)
        parent = None
        if span.parent:
            parent = SpanContext(
                trace.trace_id, span.parent, is_remote=False, trace_flags=_SAMPLED, trace_state=state
            )
        elif remote is not None:
            parent = _context(remote)
        return ReadableSpan(
            span.name,
            context=own,
            parent=parent,
            resource=self._resource,
            attributes=span.attributes,
            events=[
                Event(one.name, dict(one.attributes), _nanoseconds(one.at + wall)) for one in span.events
            ],
            links=[Link(_context(link))] if link is not None and not span.parent else [],
            kind=KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.error or None) if span.failed else Status(),
            start_time=_nanoseconds(span.started + wall),
            end_time=_nanoseconds((span.ended or span.started) + wall),
            instrumentation_scope=_SCOPE,
        )

    async def close(self) -> None:
        """Send what is queued, within CLOSING seconds."""
        last = threading.Thread(target=self._processor.shutdown, daemon=True)
        last.start()
        await asyncio.to_thread(last.join, CLOSING)
        if last.is_alive():
            await asyncio.to_thread(self._client.shutdown)


class _Counted(SpanExporter):
    """An exporter whose outcomes are counted; `done` are the spans that no longer wait.
    Called on the SDK's thread."""

    def __init__(self, inner: OTLPSpanExporter, metrics: TracingMetrics) -> None:
        self._inner = inner
        self._metrics = metrics
        self.done = 0
        self._ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        outcome = SpanExportResult.FAILURE
        try:
            outcome = self._inner.export(spans)
            return outcome
        finally:
            self.done += len(spans)
            if outcome is SpanExportResult.SUCCESS:
                self._metrics.exported.inc(by=len(spans))
            else:
                self._metrics.dropped.inc(NOT_TAKEN, by=len(spans))

    def shutdown(self) -> None:
        """End the exporter, once; who waits for the collector is let go."""
        if not self._ended:
            self._ended = True
            self._inner.shutdown()


def _context(parent: Parent) -> SpanContext:
    state = TraceState.from_header([parent.state]) if parent.state else TraceState()
    return SpanContext(
        parent.trace_id,
        parent.span_id,
        is_remote=True,
        trace_flags=TraceFlags(int(parent.sampled)),
        trace_state=state,
    )


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
