"""Subresources and resources that are actions: binding, eviction, token, scale, and the reviews that store nothing."""

from collections.abc import Awaitable, Callable

import orjson

from pilothouse import errors
from pilothouse.api import meta, schema
from pilothouse.api.fields import Errors, Object, quote
from pilothouse.endpoints import componentstatus, reviews, scale
from pilothouse.endpoints.body import read_body
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.params import WriteParams, write_params
from pilothouse.endpoints.verbs import (
    Verbs,
    admission_attributes,
    match_namespace,
    track_fields,
    write_context,
)
from pilothouse.registry import deletion
from pilothouse.registry.groups.core import subresources as core_subresources
from pilothouse.registry.resource import Resource, Subresource
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
        raise errors.NotFound("the server could not find the requested resource", details={})
    params = write_params(ctx.query, "CreateOptions")
    body = await read_body(ctx, _body_record(resource, sub), params, OLD_BODIES.get(sub.name, ()))
    match_namespace(ctx, resource, body)
    return await action(verbs, ctx, resource, body, params)


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


async def bind(verbs: Verbs, ctx: Context, resource: Resource, body: Object, params: WriteParams) -> Response:
    """Give a pod its node (pods/binding and bindings)."""
    pods = verbs.catalog.get("", "v1", "pods")
    assert pods is not None
    name = body["metadata"].get("name", "")
    if ctx.info.subresource and name != ctx.info.name:
        raise errors.BadRequest("name in URL does not match name in Binding object")
    attributes = admission_attributes(
        verbs, ctx, resource, "CREATE", name, params.options("CreateOptions"), params.dry_run
    )
    attributes.obj = body
    await verbs.admission.mutate(attributes)
    core_subresources.check_binding(body)
    write = write_context(verbs, ctx, pods, params, name)

    async def make(live: Object | None) -> Object:
        assert live is not None
        await verbs.admission.validate(attributes)
        core_subresources.apply_binding(write, live, body)
        return live

    sub = pods.subresources["status"]
    assert sub.strategy is not None
    await verbs.store.update(write, make, strategy=core_subresources.BINDING)
    return _done(verbs, ctx)


async def evict(
    verbs: Verbs, ctx: Context, resource: Resource, body: Object, params: WriteParams
) -> Response:
    """Delete a pod if its disruption budgets allow it (policy/v1 Eviction)."""
    if body["metadata"].get("name", "") != ctx.info.name:
        raise errors.BadRequest("name in URL does not match name in Eviction object")
    options = dict(body.get("deleteOptions") or {})
    if params.dry_run:
        options["dryRun"] = ["All"]
    params.dry_run = bool(options.get("dryRun"))
    attributes = admission_attributes(
        verbs, ctx, resource, "CREATE", ctx.info.name, params.options("CreateOptions"), params.dry_run
    )
    attributes.obj = body
    await verbs.admission.mutate(attributes)
    await verbs.admission.validate(attributes)
    given = options.get("preconditions") or {}
    fixed = any(given.get(member) is not None for member in ("uid", "resourceVersion"))
    name = ""
    for _ in range(EVICTION_ATTEMPTS):
        pod = orjson.loads(verbs.store.find(resource, ctx.info.namespace, ctx.info.name).value)
        attempt = dict(options)
        budget = core_subresources.evict(verbs.readers, ctx.info.namespace, pod, attempt)
        if budget is not None and not params.dry_run and not await _charge(verbs, ctx, budget):
            name = budget["metadata"]["name"]
            continue
        write = write_context(verbs, ctx, resource, params, ctx.info.name)
        try:
            await deletion.delete(verbs.store, write, attempt, None)
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


async def _charge(verbs: Verbs, ctx: Context, budget: Object) -> bool:
    """Write a budget's status with one disruption less; False when somebody else was faster."""
    budgets = verbs.catalog.get("policy", "v1", "poddisruptionbudgets")
    assert budgets is not None
    sub = budgets.subresources["status"]
    assert sub.strategy is not None
    write = write_context(verbs, ctx, budgets, WriteParams(), budget["metadata"]["name"])

    async def make(live: Object | None) -> Object:
        return {**budget, "metadata": dict(budget["metadata"])}  # each try with the version that was charged

    try:
        await verbs.store.update(write, make, strategy=sub.strategy)
    except errors.Conflict:
        return False
    return True


async def token(
    verbs: Verbs, ctx: Context, resource: Resource, body: Object, params: WriteParams
) -> Response:
    """Sign a token for a service account (authentication.k8s.io/v1 TokenRequest)."""
    info = ctx.info
    issuer = verbs.services.issuer
    attributes = admission_attributes(
        verbs, ctx, resource, "CREATE", info.name, params.options("CreateOptions"), params.dry_run
    )
    verbs.store.find(resource, info.namespace, info.name)
    work = ctx.work
    record = _body_record(resource, resource.subresources["token"])
    await work.run(track_fields, ctx, record, params, None, body, meta.now())
    attributes.obj = body  # as it was sent: a kubelet's request without audiences is told apart from others
    await verbs.admission.mutate(attributes)
    attributes.obj = request = issuer.prepare(body, info.namespace, info.name)
    await verbs.admission.validate(attributes)
    answer, warnings = issuer.issue(request)
    for text in warnings:
        ctx.warn(text)
    return verbs.responder.plain(ctx, answer, 201)


ACTIONS: dict[str, Callable[[Verbs, Context, Resource, Object, WriteParams], Awaitable[Response]]] = {
    "binding": bind,
    "eviction": evict,
    "token": token,
}


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
    if resource.group_resource == "bindings":
        return await bind(verbs, ctx, resource, body, params)
    attributes = admission_attributes(
        verbs,
        ctx,
        resource,
        "CREATE",
        body["metadata"].get("name", ""),
        params.options("CreateOptions"),
        params.dry_run,
    )
    work = ctx.work
    if resource.kind in TRACKED:
        await work.run(track_fields, ctx, resource, params, None, body, meta.now())
    attributes.obj = body
    await verbs.admission.mutate(attributes)
    if resource.strategy.validate is not None:
        errs = Errors()
        write = write_context(verbs, ctx, resource, params, body["metadata"].get("name", ""))
        await work.run(resource.strategy.validate, write, body, errs)
        errs.raise_if_any(resource.group, resource.kind, body["metadata"].get("name", ""))
    await verbs.admission.validate(attributes)
    answer = await reviews.answer(resource, body, ctx.user, verbs.services, work)
    return await work.run(verbs.responder.plain, ctx, answer, 201)
