"""Subresources and resources that are actions: binding, eviction, token, scale, and the reviews that store nothing."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import orjson

from pilothouse import errors
from pilothouse.api import meta, schema
from pilothouse.api.fields import Errors, Object, quote
from pilothouse.endpoints import componentstatus, refusals, reviews, scale
from pilothouse.endpoints.body import match_namespace, read_body
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.params import write_params
from pilothouse.endpoints.scope import RequestScope, Verbs
from pilothouse.registry import deletion
from pilothouse.registry.groups.core import subresources as core_subresources
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.registry.strategy import Strategy
from pilothouse.registry.write import Write
from pilothouse.server.request import Response

EVICTION_ATTEMPTS = 20
OLD_BODIES = {"eviction": (("policy", "v1beta1"),)}
"""Further group versions in which a subresource takes its body."""


async def handle(verbs: Verbs, ctx: Context, resource: Resource, sub: Subresource) -> Response:
    """A subresource with a body of its own."""
    if sub.read is not None:
        return await scale.handle(verbs, ctx, resource, sub)
    action = ACTIONS.get(sub.name)
    if action is None:
        raise refusals.path_not_found()
    params = write_params(ctx.query, "CreateOptions")
    body = await read_body(ctx, _body_record(resource, sub), params, OLD_BODIES.get(sub.name, ()))
    match_namespace(ctx, resource, body)
    name = body["metadata"].get("name", "") if sub.name == "binding" else ctx.info.name
    scope = RequestScope(verbs, ctx, resource, params, name)
    return await _performed(scope, action, body)


async def _performed(scope: RequestScope, action: "Action", body: Object) -> Response:
    """The answer of an action; what plugins have reserved for one that fails is given back."""
    answer = await scope.holding(action(scope, body))
    scope.warn()
    return answer


def _body_record(resource: Resource, sub: Subresource) -> Resource:
    """The record of the body's own kind, to decode it by."""
    return Resource(
        group=sub.group,
        version=sub.version,
        plural=resource.plural,
        kind=sub.kind,
        singular=sub.name,
        namespaced=resource.namespaced,
        verbs=sub.verbs,
        type_of=lambda: schema.for_kind(sub.group, sub.version, sub.kind),
    )


def _done(verbs: Verbs, ctx: Context) -> Response:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    return verbs.responder.plain(ctx, status, 201)


async def bind(scope: RequestScope, body: Object) -> Response:
    """Give a pod its node (pods/binding and bindings)."""
    verbs, ctx = scope.verbs, scope.ctx
    pods = verbs.catalog.get("", "v1", "pods")
    assert pods is not None
    name = body["metadata"].get("name", "")
    if ctx.info.subresource and name != ctx.info.name:
        raise errors.BadRequest("name in URL does not match name in Binding object")
    body = await scope.mutate(body, None)
    core_subresources.check_binding(body)
    write = _part(scope, pods, name, core_subresources.BINDING)

    async def make(live: Object | None) -> Object:
        assert live is not None
        await scope.validate(body, None)
        core_subresources.apply_binding(write.context, live, body)
        return live

    await write.update(make)
    return _done(verbs, ctx)


def _part(scope: RequestScope, resource: Resource, name: str, strategy: Strategy | None = None) -> Write:
    """A write that carries out what the request asks for; it passes no admission of its own."""
    context = replace(scope.context, resource=resource, name=name)
    return Write(scope.store, resource, context, strategy=strategy)


async def evict(scope: RequestScope, body: Object) -> Response:
    """Delete a pod if its disruption budgets allow it (policy/v1 Eviction)."""
    verbs, ctx, resource = scope.verbs, scope.ctx, scope.resource
    info = ctx.info
    if body["metadata"].get("name", "") != info.name:
        raise errors.BadRequest("name in URL does not match name in Eviction object")
    dry_run = scope.params.dry_run or bool((body.get("deleteOptions") or {}).get("dryRun"))
    scope.params.dry_run = scope.context.dry_run = scope.attributes.dry_run = dry_run
    body = await scope.mutate(body, None)
    await scope.validate(body, None)
    options = dict(body.get("deleteOptions") or {})
    if dry_run:
        options["dryRun"] = ["All"]
    given = options.get("preconditions") or {}
    fixed = any(given.get(member) is not None for member in ("uid", "resourceVersion"))
    name = ""
    for _ in range(EVICTION_ATTEMPTS):
        pod = orjson.loads(verbs.store.find(resource, info.namespace, info.name).value)
        attempt = dict(options)
        budget = core_subresources.evict(verbs.readers, info.namespace, pod, attempt)
        if budget is not None and not dry_run and not await _charge(scope, budget):
            name = budget["metadata"]["name"]
            continue
        try:
            await deletion.delete(_part(scope, resource, info.name), attempt)
        except errors.Conflict:
            if fixed or "preconditions" not in attempt:
                raise
            continue  # the pod has changed since it was judged
        return _done(verbs, ctx)
    raise errors.Timeout(
        f"Timeout: couldn't update PodDisruptionBudget {quote(name)} due to conflicts",
        details={"retryAfterSeconds": 10},
        headers=[("Retry-After", "10")],
    )


async def _charge(scope: RequestScope, budget: Object) -> bool:
    """Write a budget's status with one disruption less; False when it has been written meanwhile."""
    budgets = scope.verbs.catalog.get("policy", "v1", "poddisruptionbudgets")
    assert budgets is not None
    sub = budgets.subresources["status"]
    assert sub.strategy is not None
    context = replace(scope.context, resource=budgets, name=budget["metadata"]["name"], undo=[])
    write = Write(scope.store, budgets, context, strategy=sub.strategy)

    async def make(live: Object | None) -> Object:
        return {
            **budget,
            "metadata": dict(budget["metadata"]),
        }  # each attempt with the version that was charged

    try:
        await write.update(make)
    except errors.Conflict:
        return False
    return True


async def token(scope: RequestScope, body: Object) -> Response:
    """Sign a token for a service account (authentication.k8s.io/v1 TokenRequest)."""
    verbs, info, resource = scope.verbs, scope.ctx.info, scope.resource
    issuer = verbs.issuer
    assert issuer is not None
    verbs.store.find(resource, info.namespace, info.name)
    record = _body_record(resource, resource.subresources["token"])
    await scope.context.work.run(scope.track, None, body, record=record)
    # Admission sees it as it was sent: a kubelet's request without audiences is told apart from others.
    body = await scope.mutate(body, None)
    request = issuer.prepare(body, info.namespace, info.name)
    await scope.validate(request, None)
    answer, warnings = issuer.issue(request)
    scope.context.warnings += warnings
    return verbs.responder.plain(scope.ctx, answer, 201)


Action = Callable[[RequestScope, Object], Awaitable[Response]]
ACTIONS: dict[str, Action] = {"binding": bind, "eviction": evict, "token": token}


async def virtual(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """A resource of which nothing is stored."""
    if resource.kind == "ComponentStatus":
        return await componentstatus.handle(verbs, ctx, resource)
    return await review(verbs, ctx, resource)


TRACKED = frozenset(
    ("SubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectAccessReview", "TokenReview")
)
"""Reviews whose answers carry managed fields."""


async def review(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    """A resource that is only an answer: access reviews, token reviews, bindings."""
    params = write_params(ctx.query, "CreateOptions")
    body = await read_body(ctx, resource, params)
    meta.wipe_system_fields(body)
    match_namespace(ctx, resource, body)
    scope = RequestScope(verbs, ctx, resource, params, body["metadata"].get("name", ""))
    return await _performed(scope, bind if resource.group_resource == "bindings" else _reviewed, body)


async def _reviewed(scope: RequestScope, body: Object) -> Response:
    resource, work = scope.resource, scope.context.work
    if resource.kind in TRACKED:
        await work.run(scope.track, None, body)
    body = await scope.mutate(body, None)
    if resource.strategy.validate is not None:
        errs = Errors()
        await work.run(resource.strategy.validate, scope.context, body, errs)
        errs.raise_if_any(resource.group, resource.kind, body["metadata"].get("name", ""))
    await scope.validate(body, None)
    answer = await reviews.answer(resource, body, scope.ctx.user, scope.verbs.judges, work)
    return await work.run(scope.verbs.responder.plain, scope.ctx, answer, 201)
