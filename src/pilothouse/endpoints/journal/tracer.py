"""Decides which requests are traced, before a span is made,
and hands their spans to the exporter when they end.

Upstream: apiserver pkg/endpoints/filters/traces.go (who may decide),
component-base tracing (how many are sampled).
"""

from collections.abc import Callable
from random import getrandbits

from pilothouse.endpoints.journal import trace
from pilothouse.endpoints.journal.request_spans import RequestSpans, baggage_of, has_verb
from pilothouse.endpoints.request.context import Context
from pilothouse.registry.timeline import Timeline
from pilothouse.spans import MILLION, Headers, Parent, Trace, passed

TRUSTED = frozenset(("system:masters", "system:monitoring"))
"""Groups whose members decide whether their requests are traced; of others the trace is only linked to."""

_BITS = 63
"""Bits of a trace's id that decide whether it is sampled (sdk trace TraceIDRatioBased)."""


class Tracer:
    """Makes the traces of one server.

    slow: whether requests that take long are written to the log. store: how the storage is called. on:
    whether `begin` has anything to do.
    """

    def __init__(self, *, slow: bool = False, store: str = "") -> None:
        self._store = store
        self.slow = slow
        self.on = slow
        self._take: Callable[[Trace], None] | None = None
        self._bound = 0

    def use(self, per_million: int, take: Callable[[Trace], None]) -> None:
        """Have `take` get the spans of so many requests of a million,
        beside those whose clients decide it."""
        self._bound = per_million * (1 << _BITS) // MILLION
        self._take = take
        self.on = True

    def begin(self, ctx: Context) -> None:
        """Decide whether a request is traced, once its user is known. PERF: called for every request."""
        if self._take is not None:
            if "traceparent" in ctx.request.headers:
                self._begin(ctx)
            elif self._bound and (low := getrandbits(64)) >> 1 < self._bound:
                self._trace(ctx, RequestSpans(ctx, low))
        if self.slow and ctx.info.verb == "list":
            ctx.timeline = Timeline()

    def _begin(self, ctx: Context) -> None:
        """Like begin(), for a request that names its client's span."""
        headers = ctx.request.headers
        parent = Parent.of(headers["traceparent"], headers.get("tracestate", ""))
        if parent is not None and not TRUSTED.isdisjoint(ctx.user.groups):
            if parent.sampled:
                self._trace(ctx, RequestSpans(ctx, remote=parent))
        elif (low := getrandbits(64)) >> 1 < self._bound:
            self._trace(ctx, RequestSpans(ctx, low, link=parent))

    def _trace(self, ctx: Context, made: RequestSpans) -> None:
        ctx.spans = made
        made.judging()
        if ctx.info.verb in ("get", "list"):
            ctx.timeline = Timeline()

    def carried(self, ctx: Context) -> Headers:
        """The headers that a request which is not sampled passes on to other servers.

        Without a configuration they are those of the client,
        as they came (a no-op TracerProvider of OpenTelemetry).
        """
        headers = ctx.request.headers
        header, baggage = headers.get("traceparent"), baggage_of(ctx.request)
        parent = Parent.of(header, headers.get("tracestate", "")) if header is not None else None
        if self._take is None:
            if parent is None:
                return (("baggage", baggage),) if baggage else ()
            return passed(
                parent.trace_id, parent.span_id, sampled=parent.sampled, state=parent.state, baggage=baggage
            )
        if parent is None or TRUSTED.isdisjoint(ctx.user.groups):
            return passed(getrandbits(128) or 1, getrandbits(64) or 1, sampled=False, baggage=baggage)
        return passed(
            parent.trace_id, getrandbits(64) or 1, sampled=False, state=parent.state, baggage=baggage
        )

    def end(self, ctx: Context, now: float, sent: int, error: BaseException | None) -> None:
        """Complete the spans of a request that has ended, and write it to the log when it took long."""
        made = ctx.spans
        sampled = made is not None
        if made is None:
            if not self.slow or now - ctx.started < trace.SLOW or not has_verb(ctx):
                return
            made = RequestSpans(ctx)
        made.complete(ctx, now, sent, error, store=self._store, sampled=sampled)
        if sampled and self._take is not None:
            self._take(made.trace)
        if self.slow and made.verb is not None:
            trace.tell(made.verb, made.trace.spans)
