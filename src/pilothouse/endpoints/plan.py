"""Makes plans of reads: the verdicts that a request has met in the stages, for those that are like it.

`Plans` (ext) answers a request by a plan; without one verdicts may lead it to its handler (verdict.py), or
the pipeline leads it through the stages. A plan is made when nothing in an answer has depended on the
object's name or on the moment. All plans are forgotten when roles or bindings, flow schemas or priority
levels, methods of authentication, or resources change.
"""

from collections.abc import Callable
from functools import partial
from time import monotonic, time

from pilothouse.api.values.identity import RequestInfo
from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.authn.x509 import CertificateAuthenticator
from pilothouse.authz.authorizer import UnionAuthorizer
from pilothouse.caches import Cache, CacheBudget, weight
from pilothouse.endpoints._plan import Plan, Plans
from pilothouse.endpoints.answers.response import Responder
from pilothouse.endpoints.observer import Observer
from pilothouse.endpoints.request.attributes import attributes_of
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.verdict import Verdicts, credential_of
from pilothouse.flowcontrol.classify import Classifier
from pilothouse.metrics._requestmetrics import system_client_of
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import Store, key_of
from pilothouse.server.request import Request, Response

PLAN = 1024
"""Bytes of a plan beside its key: its own, and those of the prefix and of what the request was about."""

Key = tuple[str | bytes, str, str | None, str | None]
"""Credential (the header, or the certificate), path without the name, user agent and `Accept`."""


class Planner:
    """Makes the plans of one server; `answer` is that of `Plans`."""

    def __init__(
        self,
        authenticator: UnionAuthenticator,
        authorizer: UnionAuthorizer,
        responder: Responder,
        observer: Observer,
        store: Store,
        budget: CacheBudget | None = None,
    ) -> None:
        budget = budget or CacheBudget()
        self._authenticator, self._authorizer = authenticator, authorizer
        self._responder, self._store = responder, store
        self.known: Cache[Key, Plan] = Cache(
            "plans",
            budget,
            largest=8 * PLAN,
            weigh=lambda key, plan: weight(key) + PLAN + len(plan.shown),
        )
        self.verdicts = Verdicts(authenticator, authorizer, budget)
        """Verdicts on requests that have no plan."""
        self._journal = observer.journal
        clock = authenticator.clock
        self.answer: Callable[[Request], Response | None] = Plans(
            known=self.known,
            unreadable=store.cacher.unreadable,
            authenticated=observer.authentication.succeeded,
            authorized=observer.authorization.decided,
            hit=authenticator.metrics.hits,
            queued=observer.filters.flow_control,
            cells=observer.metrics.cells,
            ring=observer.journal.ring if observer.journal is not None else None,
            abort=observer.metrics.abort,
            proxied=authenticator.proxied,
            clock=None if clock is monotonic else clock,
            wall=time,
        ).answer

    def follow(self, classifier: Classifier, catalog: Catalog) -> None:
        """Forget all plans when one of the stages may judge otherwise than before."""

        def forget() -> None:
            self.known.clear()
            self.verdicts.forget()

        for stage in (self._authenticator, self._authorizer, classifier):
            stage.listeners.append(forget)
        for method in self._authenticator.methods:
            if isinstance(method, CertificateAuthenticator):
                method.listeners.append(forget)
        catalog.changed.append(lambda group, version: forget())

    def learn(self, ctx: Context, response: Response) -> None:
        """Make a plan of a request that the stages have answered without a wait, if there is one."""
        request, info, resource = ctx.request, ctx.info, ctx.resource
        if resource is None or not (_plain(ctx, response) and _by_name_alone(info, request, resource)):
            return
        form = None
        if not self._responder.sends_as_stored(ctx, resource):
            if ctx.media.format != "protobuf" or ctx.media.transform or resource.conversion is not None:
                return
            form = partial(self._responder.message, resource)
        known = self._authenticator.remembered(request)
        if known is None or known.user is not ctx.user:
            return
        verdict = self._authorizer.for_every_name(attributes_of(ctx))
        if verdict is None or verdict[0] is not ctx.decision:
            return
        assert ctx.flow is not None
        headers, head = request.headers, request.path[: -len(info.name)]
        decision, allowed = verdict
        shown, size = b"", 0
        if self._journal is not None:
            shown, size = self._journal.basis(known.user, known.recognition, decision)
        plan = Plan(
            known=known,
            decision=decision,
            allowed=allowed,
            flow=ctx.flow.flow,
            info=info,
            resource=resource,
            objects=self._store.cache(resource),
            prefix=key_of(resource, info.namespace, info.name)[: -len(info.name)],
            client=system_client_of(headers),
            shown=shown,
            weight=size,
            form=form,
            content_type=ctx.media.content_type,
        )
        self.known.put((credential_of(request), head, headers.get("user-agent"), headers.get("accept")), plan)


def _plain(ctx: Context, response: Response) -> bool:
    """Whether nothing about a request and its answer is out of the ordinary."""
    request, flow = ctx.request, ctx.flow
    return (
        response.status == 200
        and response.start is None
        and response.upgrade is None
        and ctx.user is ctx.caller
        and ctx.warnings is None
        and ctx.timeline is None
        and ctx.charge is None
        and not (ctx.query or request.body)
        and flow is not None
        and flow.seats == 1
    )


def _by_name_alone(info: RequestInfo, request: Request, resource: Resource) -> bool:
    """Whether a request gets an object, and another name at the end of its path changes the name alone."""
    return (
        info.verb == "get"
        and request.method == "GET"
        and not info.subresource
        and bool(info.name)
        and request.path == info.path
        and request.path.endswith(f"/{info.name}")
        and (resource.namespaced or not info.namespace)  # the name of a namespace is its namespace, too
        and not (resource.virtual or resource.deprecated or resource.action is not None)
    )
