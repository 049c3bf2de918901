"""The spans of one request: its own, those of its stages,
and that of its verb, with upstream's names and attributes.

Spans of calls to other servers are made while they last (`spans.py`). The others are made at the end, out of
what the stages have noted for the journal: moments in the Context, marks and steps in the Timeline. Upstream:
apiserver pkg/endpoints/filters/traces.go, filterlatency,
handlers/{create,update,patch,delete,get,trace_util}.go.
"""

from collections.abc import Iterable
from random import getrandbits

from pilothouse import spans
from pilothouse.audit.sources import source_ips, user_agent
from pilothouse.endpoints.journal.intervals import intervals
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.metrics import VERBS as METHODS
from pilothouse.endpoints.request.metrics import scope_of
from pilothouse.logs import LONGEST_AUDIT_ID
from pilothouse.registry.timeline import AdmissionStep, Timeline, cut
from pilothouse.server.request import Request
from pilothouse.spans import BAGGAGE_BYTES, SERVER, Attributes, Parent, Span, Trace

VERBS = {
    "create": "Create",
    "update": "Update",
    "patch": "Patch",
    "delete": "Delete",
    "deletecollection": "Delete",
    "get": "Get",
    "list": "List",
}
"""The spans of verbs. Requests that run long have none upstream."""
FILTERS = ("audit", "constrainedimpersonation", "priorityandfairness", "authorization")
"""The spans of stages, each a part of the one before."""
STORED = {"create": "Write to database call succeeded", "update": "Write to database call succeeded"}
STORED |= {"patch": "Object stored in database"}
STORED |= dict.fromkeys(("delete", "deletecollection"), "Object deleted from database")
"""The message in the span of a write when the store has carried it out."""
OPERATIONS = {"create": "Create", "delete": "Delete", "deletecollection": "Delete"}
"""The spans of the store; all other writes are updates (GuaranteedUpdate)."""
WEBHOOKS = {
    "MutatingAdmissionWebhook": "Call mutating webhook",
    "ValidatingAdmissionWebhook": "Call validating webhook",
}
STEP_THRESHOLD, ANSWER_THRESHOLD = 0.5, 5.0
"""Seconds from which on upstream writes a step to the log;
that of an answer which is written to the client."""


class RequestSpans:
    """The trace of one request. verb: the span of its verb, None where it has none.

    low: the lower half of the trace's id, which has decided that it is sampled. remote, link: as in Trace.
    """

    __slots__ = ("_filters", "_root", "trace", "verb")

    def __init__(
        self, ctx: Context, low: int = 0, *, remote: Parent | None = None, link: Parent | None = None
    ) -> None:
        trace_id = remote.trace_id if remote is not None else (getrandbits(64) << 64 | low) or 1
        self.trace = trace = Trace(trace_id, ctx.audit_id[:LONGEST_AUDIT_ID], remote, link)
        trace.baggage = baggage_of(ctx.request)
        self._root = at = Span(trace, name_of(ctx), kind=SERVER)
        self._filters = []
        for name in FILTERS:
            at = Span(trace, name, at.id)
            self._filters.append(at)
        name = VERBS.get(ctx.info.verb, "") if ctx.info.is_resource else ""
        self.verb = Span(trace, name, at.id, threshold=STEP_THRESHOLD) if name else None

    def judging(self) -> None:
        """Let calls to other servers, from now on, belong to the stages before the verb."""
        spans.current.set(self._filters[-1])

    def dispatched(self) -> None:
        """Let calls to other servers, from now on, belong to the verb."""
        spans.current.set(self.verb or self._filters[-1])

    def complete(
        self, ctx: Context, now: float, sent: int, error: BaseException | None, *, store: str, sampled: bool
    ) -> None:
        """Give all spans their times and attributes;
        the request has ended `now` and `sent` bytes of its body went out.

        store: how the storage is called. sampled: whether the spans of calls to other servers are there.
        Those of webhooks and of the store are made out of the timeline otherwise, for the log.
        """
        trace = self.trace
        self.verb = verb = self.verb if has_verb(ctx) else None
        made, trace.spans = trace.spans, []
        self._complete_root(ctx, now, sent)
        self._complete_filters(ctx)
        trace.spans += [self._root, *self._filters]
        if verb is not None:
            timeline = ctx.timeline or Timeline()
            verb.started, verb.ended = ctx.decided or ctx.recognised, now
            verb.attributes = _fields(ctx)
            _tell_events(verb, ctx, timeline, now)
            trace.spans.append(verb)
            trace.spans += _cached(verb, ctx, timeline)
            if not sampled:
                made = list(_from_timeline(verb, ctx, timeline, store))
            trace.spans += made
            if ctx.answered:
                trace.spans.append(_serialized(verb, ctx, timeline, now, sent, error))
        else:
            trace.spans += made
        trace.ended = True

    def _complete_root(self, ctx: Context, now: float, sent: int) -> None:
        root = self._root
        root.started, root.ended = ctx.started, now
        root.attributes = _http(ctx)
        if ctx.request.body:
            root.attributes["http.request.body.size"] = len(ctx.request.body)
        if sent:
            root.attributes["http.response.body.size"] = sent
        root.attributes["http.response.status_code"] = ctx.status
        root.failed = ctx.status >= 500

    def _complete_filters(self, ctx: Context) -> None:
        """The times of the stages; one that a request has not waited in takes none."""
        waited = ctx.flow.waited if ctx.flow is not None else 0.0
        known = {name: (begin, end) for name, begin, end in intervals(ctx, waited, (), 0.0, refused=False)}
        at = known["authentication"][1] or ctx.started
        for span, stage in zip(self._filters, ("", "impersonation", "queue", "authorization"), strict=True):
            span.started, span.ended = known.get(stage, (at, at))
            at = span.ended


def has_verb(ctx: Context) -> bool:
    """Whether upstream has a span for the verb of a request: one that is answered out of the store."""
    return ctx.resource is not None and ctx.info.verb in VERBS and bool(ctx.recognised)


def name_of(ctx: Context) -> str:
    """The name of a request's own span: method and path, with placeholders for names."""
    info = ctx.info
    if not info.is_resource:
        return ctx.request.method
    parts = [info.prefix, info.group, info.version]
    if info.namespace:
        parts.append("namespaces/{:namespace}")
    parts.append(info.resource)
    if info.name:
        parts.append("{:name}")
    parts.append(info.subresource)
    return f"{ctx.request.method} /{'/'.join(filter(None, parts))}"


def baggage_of(request: Request) -> str:
    """The client's baggage, "" where it cannot be passed on."""
    text = request.headers.get("baggage", "")
    return text if len(text) <= BAGGAGE_BYTES and text.isascii() and text.isprintable() else ""


def _http(ctx: Context) -> dict[str, spans.Value]:
    """The attributes that otelhttp gives a request (semantic conventions for HTTP servers),
    and those that upstream adds."""
    request, addresses = ctx.request, source_ips(ctx.request.headers, ctx.request.peer[0])
    host, _, port = request.headers.get("host", "").rpartition(":")
    if not port.isdecimal() or not host:
        host, port = request.headers.get("host", ""), "443"
    out: dict[str, spans.Value] = {
        "server.address": host.strip("[]"),
        "http.request.method": request.method,
        "url.scheme": "https",
    }
    if port != "443":
        out["server.port"] = int(port)
    if addresses:
        out |= {"network.peer.address": addresses[-1], "network.peer.port": request.peer[1]}
    agent = request.headers.get("user-agent", "")
    if agent:
        out["user_agent.original"] = user_agent(agent)
    if addresses:
        out["client.address"] = addresses[0]
    out["url.path"] = cut(request.path)
    out["network.protocol.version"] = request.protocol.removeprefix("HTTP/")
    out["http.target"] = cut(request.target)
    out["audit-id"] = ctx.audit_id[:LONGEST_AUDIT_ID]
    return out


def _fields(ctx: Context) -> dict[str, spans.Value]:
    """The attributes of a verb's span, in the order in which upstream's log shows them (traceFields)."""
    info, request = ctx.info, ctx.request
    return {
        "accept": cut(request.headers.get("accept", "")),
        "audit-id": ctx.audit_id[:LONGEST_AUDIT_ID],
        "client": next(iter(source_ips(request.headers, request.peer[0])), "unknown"),
        "api-group": info.group,
        "api-version": info.version,
        "name": info.name,
        "subresource": info.subresource,
        "namespace": info.namespace,
        "protocol": request.protocol,
        "resource": info.resource,
        "scope": scope_of(info),
        "url": cut(request.path),
        "user-agent": user_agent(request.headers.get("user-agent", "")),
        "verb": METHODS.get(info.verb, info.verb.upper()),
    }


def _tell_events(verb: Span, ctx: Context, timeline: Timeline, now: float) -> None:
    """Upstream's events of the verb's span,
    and one for each stage of a write that upstream does not tell of."""
    kind, length = ctx.info.verb, {"len": len(ctx.request.body)}
    if kind == "get":
        verb.event("About to Get from storage", at=verb.started)
    if kind not in ("get", "list"):
        verb.event("limitedReadBody succeeded", length, verb.started)
    stored = False
    for stage, end in timeline.marks:
        if stage == "body" and kind in ("create", "update"):
            verb.event("Conversion done", at=end)
            verb.event("About to store object in database", at=end)
        elif stage == "body":
            verb.event(
                "About to apply patch" if kind == "patch" else "About to delete object from database", at=end
            )
        elif stage == "commit":
            stored = True
            verb.event(STORED[kind], length if kind in ("create", "update") else None, end)
        elif stage != "read":
            verb.event(f"{stage.capitalize()} done", at=end)
    if ctx.status >= 400:
        if kind in ("create", "update") and not stored and ctx.answered:
            verb.event("Write to database call failed", length | _error(ctx), ctx.answered)
    elif kind != "list" and ctx.answered:
        verb.event("About to write a response", at=_last(ctx, timeline))
        verb.event("Writing http response done", at=now)


def _error(ctx: Context) -> dict[str, spans.Value]:
    """The text of an error. Those about Secrets may show what the object has in it."""
    if ctx.refusal is None or (ctx.info.resource == "secrets" and not ctx.info.group):
        return {}
    return {"err": ctx.refusal.message}


def _last(ctx: Context, timeline: Timeline) -> float:
    """The time at which the answer began to be made."""
    return timeline.marks[-1][1] if timeline.marks else ctx.decided or ctx.recognised


def _cached(verb: Span, ctx: Context, timeline: Timeline) -> Iterable[Span]:
    """The span of a read of the watch cache."""
    if not timeline.marks or timeline.marks[0][0] != "read":
        return ()
    info, id_ = ctx.info, {"audit-id": verb.trace.audit_id}
    if info.verb == "get":
        made = _within(verb, "cacher.Get", {**id_, "resource-version": _asked(ctx)})
    else:
        kind = f"{info.resource}.{info.group}" if info.group else info.resource
        made = _within(verb, "cacher.GetList", {**id_, "type": kind})
    made.started, made.ended = verb.started, timeline.marks[0][1]
    return (made,)


def _asked(ctx: Context) -> str:
    return cut(ctx.query.get("resourceVersion", [""])[0]) if ctx.query else ""


def _serialized(
    verb: Span, ctx: Context, timeline: Timeline, now: float, sent: int, error: BaseException | None
) -> Span:
    """The span of the answer: its encoding, and its way to the client."""
    request = ctx.request
    attributes: Attributes = {
        "audit-id": verb.trace.audit_id,
        "method": request.method,
        "url": cut(request.path),
        "protocol": request.protocol,
        "mediaType": ctx.media.content_type if ctx.media is not None else "",
    }
    made = _within(verb, "SerializeObject", attributes, ANSWER_THRESHOLD)
    made.started, made.ended = _last(ctx, timeline), now
    made.event("About to start writing response", {"size": sent}, ctx.answered)
    outcome: dict[str, spans.Value] = {"size": sent}
    if error is not None:
        outcome["err"] = str(error) or type(error).__name__
    made.event("Write call failed" if error is not None else "Write call succeeded", outcome, now)
    return made


def _from_timeline(verb: Span, ctx: Context, timeline: Timeline, store: str) -> Iterable[Span]:
    """The spans of webhooks and of the store, out of what the journal keeps of a write."""
    for step in map(AdmissionStep._make, _complete_steps(timeline.steps)):
        if step.name and step.plugin in WEBHOOKS and step.ended:
            about = {"configuration": step.by, "webhook": step.name}
            made = _within(verb, WEBHOOKS[step.plugin], about)
            made.started, made.ended = step.ended - step.seconds, step.ended
            yield made
    end = next((at for stage, at in timeline.marks if stage == "commit"), 0.0)
    if end:
        name = f"{OPERATIONS.get(ctx.info.verb, 'GuaranteedUpdate')} {store}"
        made = _within(verb, name, {"audit-id": verb.trace.audit_id, "resource": ctx.info.resource})
        made.started, made.ended = end - timeline.stored, end
        yield made


def _complete_steps(steps: Iterable[tuple[object, ...]]) -> Iterable[tuple[object, ...]]:
    """Steps with all members of AdmissionStep; those of a timeline have the first ones."""
    last = AdmissionStep._field_defaults
    names = AdmissionStep._fields
    for step in steps:
        yield *step, *(last[name] for name in names[len(step) :])


def _within(verb: Span, name: str, attributes: Attributes, threshold: float = STEP_THRESHOLD) -> Span:
    return Span(verb.trace, name, verb.id, attributes=attributes, threshold=threshold)
