"""Spans of a request that is traced:
its timed steps as a tree, and the headers by which other servers take part in it.

Code that takes part asks `current` for the span that it runs within. That is None for most requests, which
are not sampled, and then nothing is made.
Times are those of time.perf_counter(). Headers: W3C Trace Context and Baggage.
"""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from random import getrandbits
from time import perf_counter
from typing import NamedTuple, Self

INTERNAL, SERVER, CLIENT = 1, 2, 3
"""Kinds of spans, with OpenTelemetry's numbers."""

MILLION = 1_000_000
"""The whole of which shares of sampled requests are counted (component-base tracing/api/v1)."""

MOST = 1000
"""Spans that are kept of a request: a deletecollection calls webhooks for each object."""

STATE_BYTES, BAGGAGE_BYTES = 512, 8192
"""Bytes of a `tracestate` (W3C Trace Context 3.3.1.5) and of a `baggage`
(W3C Baggage 3.3.2) that are passed on."""

Value = str | int | bool
Attributes = Mapping[str, Value]
Headers = tuple[tuple[str, str], ...]

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


class Parent(NamedTuple):
    """The span of a client, out of its `traceparent` header. state: its `tracestate`."""

    trace_id: int
    span_id: int
    sampled: bool
    state: str = ""

    @classmethod
    def of(cls, header: str, state: str = "") -> "Parent | None":
        """The parent that headers name, None where they cannot be read (W3C Trace Context 3.2)."""
        found = _PARENT.fullmatch(header.strip())
        if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
            return None
        trace_id, span_id = int(found[2], 16), int(found[3], 16)
        if not trace_id or not span_id:
            return None
        state = state if len(state) <= STATE_BYTES and state.isascii() and state.isprintable() else ""
        return cls(trace_id, span_id, bool(int(found[4], 16) & 1), state)


def passed(trace_id: int, span_id: int, *, sampled: bool, state: str = "", baggage: str = "") -> Headers:
    """The headers that tell another server in which trace it takes part."""
    headers: Headers = (("traceparent", f"00-{trace_id:032x}-{span_id:016x}-{sampled:02d}"),)
    if state:
        headers += (("tracestate", state),)
    if baggage:
        headers += (("baggage", baggage),)
    return headers


class SpanEvent(NamedTuple):
    """A moment of a span."""

    name: str
    at: float
    attributes: Attributes


class Trace:
    """The common part of the spans of one request, and the spans that have been made.

    remote: the client's span, which the first one has for its parent. link: the span of a client that is not
    trusted to decide what is traced. state, baggage: what is passed on in headers.
    ended: spans that are made from now on are lost.
    left_out: how many were too many.
    """

    __slots__ = ("audit_id", "baggage", "ended", "left_out", "link", "remote", "spans", "state", "trace_id")

    def __init__(
        self, trace_id: int, audit_id: str, remote: Parent | None = None, link: Parent | None = None
    ) -> None:
        self.trace_id = trace_id
        self.audit_id = audit_id
        self.remote = remote
        self.link = link
        self.state = remote.state if remote is not None else ""
        self.baggage = ""
        self.spans: list[Span] = []
        self.ended = False
        self.left_out = 0

    def add(self, span: "Span") -> None:
        """Keep a span, while there is room."""
        if self.ended or len(self.spans) >= MOST:
            self.left_out += 1
        else:
            self.spans.append(span)


class Span:
    """A named step of a request. As a context manager it is the current span, and ends with the block.

    parent: the id of the span that it is a part of, 0 for the first one. threshold: seconds from which on
    upstream writes it to the log; None where it does not. failed: whether it went wrong, and `error` how.
    """

    __slots__ = (
        "_before",
        "attributes",
        "ended",
        "error",
        "events",
        "failed",
        "id",
        "kind",
        "name",
        "parent",
        "started",
        "threshold",
        "trace",
    )

    def __init__(
        self,
        trace: Trace,
        name: str,
        parent: int = 0,
        *,
        kind: int = INTERNAL,
        attributes: Attributes | None = None,
        threshold: float | None = None,
    ) -> None:
        self.trace = trace
        self.name = name
        self.parent = parent
        self.kind = kind
        self.attributes: dict[str, Value] = dict(attributes or {})
        self.threshold = threshold
        self.id = getrandbits(64) or 1
        self.started = perf_counter()
        self.ended = 0.0
        self.events: list[SpanEvent] = []
        self.failed = False
        self.error = ""
        self._before: Span | None = None

    def child(
        self,
        name: str,
        attributes: Attributes | None = None,
        *,
        kind: int = INTERNAL,
        threshold: float | None = None,
    ) -> "Span":
        """A span within this one, which begins now."""
        span = Span(self.trace, name, self.id, kind=kind, attributes=attributes, threshold=threshold)
        self.trace.add(span)
        return span

    def event(self, name: str, attributes: Attributes | None = None, at: float = 0.0) -> None:
        """Note that something has happened, now where `at` does not say when."""
        self.events.append(SpanEvent(name, at or perf_counter(), attributes or {}))

    def headers(self) -> Headers:
        """The headers of a request to another server that takes part in this span."""
        trace = self.trace
        return passed(trace.trace_id, self.id, sampled=True, state=trace.state, baggage=trace.baggage)

    def __enter__(self) -> Self:
        self._before = current.get()
        current.set(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # No token: a request's first steps run outside of the task in which it goes on (`waiting.py`).
        current.set(self._before)
        self.ended = perf_counter()
        if error is not None and self.kind == CLIENT:
            self.failed, self.error = True, str(error) or type(error).__name__


current: ContextVar[Span | None] = ContextVar("current_span", default=None)
"""The span that code runs within; None where nothing is traced."""

carried: ContextVar[Headers] = ContextVar("carried_headers", default=())
"""The headers that a request which is not sampled passes on to other servers,
so that they do not sample it either."""


def child(
    name: str, attributes: Attributes, *, threshold: float | None = None
) -> AbstractContextManager[Span | None]:
    """A span within the current one, as a context manager; one that does nothing where nothing is traced."""
    within = current.get()
    return _NOTHING if within is None else within.child(name, attributes, threshold=threshold)


_NOTHING: AbstractContextManager[None] = nullcontext()
