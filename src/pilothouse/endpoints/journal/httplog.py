"""Writes a line of the log for each request when it has ended, in the form of upstream's
apiserver/pkg/server/httplog.

It is written with --v=3 and above, or with --vmodule=httplog=3, as upstream does. Upstream tells no user, and
adds a stack trace to errors of the server; here the exception has a line of its own. The line of a request to
a logical cluster names it; its URI is the one below the cluster's URL.
"""

from pilothouse.api.values.duration import show_duration
from pilothouse.endpoints.journal.journal import carries_anything
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.metrics import VERBS
from pilothouse.logs import LONGEST_AUDIT_ID, Logger
from pilothouse.metrics._requestmetrics import sort_of

log = Logger(__name__)

LEVEL = 3
"""The verbosity from which on each request is logged."""
_UPGRADED = 101


def wanted() -> bool:
    """Whether the log is to tell of every request."""
    return log.enabled(LEVEL)


def tell(ctx: Context, now: float) -> None:
    """Log a request that ends now (time.perf_counter())."""
    request, user, caller = ctx.request, ctx.user, ctx.caller
    pairs = {
        "verb": _verb(ctx),
        "URI": _uri(ctx),
        "latency": show_duration(int((now - ctx.started) * 1e9)),
        "userAgent": request.headers.get("user-agent", ""),
        "audit-ID": ctx.audit_id[:LONGEST_AUDIT_ID],
        "srcIP": _address(*request.peer),
        "user": caller.name,
    }
    if request.cluster:
        pairs["cluster"] = request.cluster
    if user is not caller:
        pairs["impersonatedUser"] = user.name
    answer = {"hijacked": True} if ctx.status == _UPGRADED else {"resp": ctx.status}
    log.verbose(LEVEL, "HTTP", **pairs, **answer)


def _verb(ctx: Context) -> str:
    """The verb as metrics tell it (endpoints/metrics CleanVerb)."""
    request, info = ctx.request, ctx.info
    return (
        VERBS.get(sort_of(info.verb, request.headers), request.method) if info.is_resource else request.method
    )


def _uri(ctx: Context) -> str:
    """The target of a request, without a query where the journal has none, because it may carry anything."""
    request = ctx.request
    return request.path if carries_anything(ctx.info) else request.target


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
