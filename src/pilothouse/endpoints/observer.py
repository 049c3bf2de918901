"""The observer of requests: metrics, audit, the journal and traces learn of each at the same five moments.

1. `recognised`: who asks is known.
2. `recorded`: its beginning is in the audit log.
3. `authorized`: whether they may is decided.
4. `refused` or `failed`, then `answered`: its answer is made.
5. `ended`: the answer has been sent, or the client has left without one.
"""

import time
from dataclasses import field

from pilothouse import errors
from pilothouse.api.values.identity import ANONYMOUS, AuthorizationAttributes
from pilothouse.audit.auditor import Auditor
from pilothouse.audit.record import Record
from pilothouse.authn.metrics import AuthenticationMetrics
from pilothouse.authz.authorizer import Decision
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.endpoints.journal import httplog
from pilothouse.endpoints.journal.journal import Journal
from pilothouse.endpoints.journal.tracer import Tracer
from pilothouse.endpoints.request.attributes import attributes_of, runs_long
from pilothouse.endpoints.request.context import Context, Refusal
from pilothouse.endpoints.request.metrics import FilterMetrics, RequestMetrics
from pilothouse.process.record import record
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Request, Response


@record(eq=False)
class Observer:
    """The parts of one server that observe its requests.

    audit: None: nothing is recorded. journal: keeps what is known of the latest requests; None: nobody can
    ask for it.
    """

    metrics: RequestMetrics
    filters: FilterMetrics
    authentication: AuthenticationMetrics
    authorization: AuthorizationMetrics
    audit: Auditor | None = None
    journal: Journal | None = None
    tracer: Tracer = field(default_factory=Tracer)

    def recognised(self, ctx: Context) -> None:
        """Count who asks, and decide whether spans are made of the request."""
        self.authentication.succeeded(ctx.recognised - ctx.started, ctx.user.name)
        if self.tracer.on:
            self.tracer.begin(ctx)

    def begun(
        self, ctx: Context, auditor: Auditor, attributes: AuthorizationAttributes, *, whole: bool = False
    ) -> None:
        """Begin what is recorded of a request; one that is not whole has events only if it is refused."""
        took = ctx.recognised - ctx.started
        ctx.audit = auditor.begin(
            ctx.request, ctx.user, attributes, ctx.audit_id, started=ctx.started, seconds=took, whole=whole
        )

    async def recorded(self, ctx: Context, auditor: Auditor, attributes: AuthorizationAttributes) -> bool:
        """Begin what is recorded of a request;
        False when it must not go on, for its beginning cannot be recorded."""
        self.begun(ctx, auditor, attributes, whole=True)
        stored = True if ctx.audit is None else ctx.audit.received()
        if stored is not True and not (stored and await stored):
            ctx.audit = None
            auditor.metrics.rejected.inc()
            return False
        self.filters.audit.observe(time.perf_counter() - ctx.recognised)
        return True

    def acts_as(self, ctx: Context, constraint: str, took: float) -> None:
        """Note that the request goes on as another user; `took` are the seconds that it took to find out."""
        ctx.acting = constraint, took
        self.filters.impersonation.observe(took)
        if ctx.audit is not None:
            ctx.audit.acts_as(ctx.user, constraint)
            ctx.audit.impersonation = took

    def authorized(self, ctx: Context, decision: Decision, known: float) -> None:
        """Count a decision of the authorizer, which was asked at `known` (time.perf_counter())."""
        ctx.decision, ctx.decided = decision, time.perf_counter()
        self.authorization.decided(ctx.decided - known, decision)
        if ctx.audit is not None:
            ctx.audit.authorized((decision.allowed, decision.reason), ctx.decided - known)

    def judged(self, ctx: Context, decision: Decision, known: float) -> None:
        """Note a decision on a request of which only the head has come."""
        ctx.decision, ctx.decided = decision, time.perf_counter()
        if ctx.audit is not None:
            ctx.audit.authorized((decision.allowed, decision.reason), ctx.decided - known)

    def refused(self, ctx: Context, err: errors.StatusError, recorded: bool) -> None:
        """Note that an error ends the request. `recorded`: audit knows of it."""
        if self.audit is not None and not recorded:
            # upstream: filters WithFailedAuthenticationAudit
            ctx.audit = self.audit.begin(ctx.request, None, attributes_of(ctx), ctx.audit_id, ctx.started)
            if ctx.audit is not None:
                ctx.audit.early = True
        if isinstance(err, errors.Unauthorized) and ctx.caller is ANONYMOUS:
            result = "error" if _presents_credentials(ctx.request) else "failure"
            seconds = time.perf_counter() - ctx.started
            self.authentication.failed(seconds, result)
            self.filters.authentication.observe(seconds)
        if self.journal is not None:
            ctx.refusal = Refusal.of(err)

    def answered(self, ctx: Context, audit: Record, response: Response) -> None:
        """Record the answer, whose headers are complete."""
        audit.answered(response)
        if audit.early:
            ctx.audit = None
            audit.started()
        elif runs_long(ctx.info):
            audit.started()

    def ended(self, ctx: Context, sent: int, error: BaseException | None) -> None:
        """Note the end, once for each request:
        `Response.on_done`, or the cancel of what has no answer yet."""
        if ctx.ended:
            return
        ctx.ended = True
        waited = 0.0
        if ctx.admission is not None:
            waited = ctx.admission.webhook_seconds
            ctx.admission = None  # it refers to ctx: no cycle may be left
        ticket = ctx.flow
        if ticket is not None:
            ticket.release()
            in_line = ticket.waited
            self.filters.flow_control.observe(in_line)
            waited += in_line
        now = time.perf_counter()
        seconds = now - ctx.started
        request = ctx.request
        self.metrics.observe(
            ctx.info,
            ctx.resource,
            ctx.status,
            seconds,
            len(request.body),
            sent,
            headers=request.headers,
            query=ctx.query,
            waited=waited,
        )
        if isinstance(error, ConnectionAbortedError):  # by the server; the client's are ConnectionResetErrors
            self.metrics.abort(ctx.info, ctx.resource)
        if self.journal is not None:
            self.journal.add(ctx, now, sent, error)
        if ctx.spans is not None or self.tracer.slow:
            self.tracer.end(ctx, now, sent, error)
        ctx.end(ctx.status, sent, error)
        if ctx.audit is not None:
            resource = ctx.resource
            ctx.audit.complete(_removal(resource) if resource is not None and resource.deprecated else None)


class LoggingObserver(Observer):
    """The observer of a server whose log tells of each request; others do not even ask whether it does."""

    __slots__ = ()

    def ended(self, ctx: Context, sent: int, error: BaseException | None) -> None:
        """Note the end, and write it to the log."""
        if ctx.ended:
            return
        super().ended(ctx, sent, error)
        httplog.tell(ctx, time.perf_counter())


class Ending:
    """`Response.on_done` of a request that runs long; smaller than a partial, which each watch would keep."""

    __slots__ = ("ctx", "observer")

    def __init__(self, observer: Observer, ctx: Context) -> None:
        self.observer = observer
        self.ctx = ctx

    def __call__(self, sent: int, error: BaseException | None) -> None:
        self.observer.ended(self.ctx, sent, error)


def _presents_credentials(request: Request) -> bool:
    """Whether a client says who it is: without that, a 401 is a failure and no error in the metrics."""
    headers = request.headers
    return (
        bool(request.peer_certificates) or "authorization" in headers or "sec-websocket-protocol" in headers
    )


def _removal(resource: Resource) -> str:
    """The release that removes a deprecated API version, "" when that is not known."""
    _, _, rest = resource.deprecated.partition("unavailable in v")
    return rest.partition("+")[0]
