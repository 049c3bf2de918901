"""Remembers the verdicts of all stages up to the handler, for requests that are like an earlier one.

A write or a list with a verdict goes to its handler at once, when it has its seats. A verdict is made when
nothing in it has depended on an object's name or on the moment; the planner (plan.py) forgets all of them
when a stage may judge otherwise.
"""

from time import perf_counter, time
from typing import Any

from pilothouse.api._uuid import new_uuid
from pilothouse.api.values.identity import RequestInfo
from pilothouse.authn.authenticator import Remembered, UnionAuthenticator
from pilothouse.authz.authorizer import Decision, UnionAuthorizer
from pilothouse.caches import Cache, CacheBudget, weight
from pilothouse.endpoints._plan import verdict_of
from pilothouse.endpoints.dispatch import Handler
from pilothouse.endpoints.request.attributes import attributes_of
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import Query
from pilothouse.flowcontrol._seats import Flow
from pilothouse.process.record import record
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.server.request import Request

VERDICT = 1024
"""Bytes of a verdict beside its key and its parsed query."""
VERBS = frozenset(("list", "create", "update", "patch", "delete"))
QUERY = frozenset(
    (
        "labelSelector",
        "fieldSelector",
        "limit",
        "fieldManager",
        "fieldValidation",
        "force",
        "gracePeriodSeconds",
        "propagationPolicy",
    )
)
"""Parameters that clients repeat."""
BROWSER = ("origin", "sec-fetch-site")
"""Headers of a browser, whose requests with a certificate are judged one by one."""

Key = tuple[str | bytes, str, str, str, str | None, str | None, str | None]
"""Credential (the header, or the certificate), method, path without the name, query, user agent, `Accept` and
`Content-Type`."""


@record(eq=False)
class Verdict:
    """The findings of the stages on a request.

    allowed: where the authorizer counts its decision, None when nobody does.
    """

    known: Remembered
    decision: Decision
    allowed: list[int] | None
    flow: Flow
    info: RequestInfo
    query: Query
    resource: Resource
    subresource: Subresource | None
    media: Any
    handler: Handler


class Verdicts:
    """The verdicts of one server."""

    def __init__(
        self, authenticator: UnionAuthenticator, authorizer: UnionAuthorizer, budget: CacheBudget
    ) -> None:
        self._authenticator, self._authorizer = authenticator, authorizer
        self._hit = authenticator.metrics.hits
        self._proxied = (*authenticator.proxied, *BROWSER)
        self.known: Cache[Key, Verdict] = Cache(
            "verdicts",
            budget,
            largest=8 * VERDICT,
            weigh=lambda key, verdict: weight(key) + weight(verdict.query) + VERDICT,
        )
        self.epoch = 0
        """Grows when all verdicts are forgotten."""

    def forget(self) -> None:
        """Forget all verdicts, also those on requests that are under way."""
        self.epoch += 1
        self.known.clear()

    def begin(self, request: Request) -> tuple[Context, Verdict] | None:
        """A request on its way to its handler; None where the stages have to judge it."""
        found = verdict_of(self.known, request)
        if found is None:
            return None
        verdict, info = found
        known = verdict.known
        if not self._stands(known, request):
            return None
        ctx = Context(request, info, verdict.query, request.headers.get("audit-id") or new_uuid())
        ctx.user = ctx.caller = known.user
        request.caller, request.recognition = known.user.name, known.recognition
        ctx.recognised = perf_counter()
        ctx.priority = verdict.flow.uids
        ctx.resource, ctx.subresource, ctx.media = verdict.resource, verdict.subresource, verdict.media
        return ctx, verdict

    def _stands(self, known: Remembered, request: Request) -> bool:
        """Whether a credential is still good; it is counted then."""
        if known.remaining is None:
            if self._authenticator.clock() >= known.until:
                return False
            self._hit.observe(0.0)
            return True
        left = known.until - time()
        if left <= 0 or not request.headers.keys().isdisjoint(self._proxied):
            return False
        known.remaining.observe(left)
        return True

    def learn(self, ctx: Context, handler: Handler, epoch: int) -> None:
        """Keep the verdicts on a request that was carried out, if they hold for others that are like it, and
        still do: `epoch` is that in which it came."""
        request, info, resource = ctx.request, ctx.info, ctx.resource
        if resource is None or ctx.flow is None or epoch != self.epoch or not _like_others(ctx, resource):
            return
        path = _nameless(request.path, info)
        known = self._authenticator.remembered(request)
        if path is None or known is None or known.user is not ctx.user:
            return
        found = self._authorizer.for_every_name(attributes_of(ctx))
        if found is None or found[0] is not ctx.decision:
            return
        headers = request.headers
        more = request.query, headers.get("user-agent"), headers.get("accept"), headers.get("content-type")
        self.known.put(
            (credential_of(request), request.method, path, *more),
            Verdict(
                known=known,
                decision=found[0],
                allowed=found[1],
                flow=ctx.flow.flow,
                info=info,
                query=ctx.query,
                resource=resource,
                subresource=ctx.subresource,
                media=ctx.media,
                handler=handler,
            ),
        )


def credential_of(request: Request) -> str | bytes:
    """The credential by which a request is known: its client certificate, else its Authorization header."""
    return request.peer_certificates[0] if request.peer_certificates else request.headers["authorization"]


def _like_others(ctx: Context, resource: Resource) -> bool:
    """Whether nothing about a request is out of the ordinary, and nothing is that the stages look at."""
    info, request_query = ctx.info, ctx.request.query
    return (
        info.verb in VERBS
        and ctx.user is ctx.caller
        and ctx.permitted is None
        and ctx.charge is None
        and QUERY.issuperset(ctx.query)
        and "metadata.name" not in request_query
        and (resource.namespaced or not info.namespace)  # the name of a namespace is its namespace, too
        and not (resource.virtual or resource.deprecated or resource.strategy.claim is not None)
    )


def _nameless(path: str, info: RequestInfo) -> str | None:
    """The path without the name; None where it is written in another way."""
    if path != info.path:
        return None
    if not info.name:
        return None if info.subresource or path.endswith("/") else path
    end = f"/{info.name}/{info.subresource}" if info.subresource else f"/{info.name}"
    if info.verb == "create" or not path.endswith(end):
        return None
    return f"{path[: -len(end)]}//{info.subresource}" if info.subresource else f"{path[: -len(end)]}/"
