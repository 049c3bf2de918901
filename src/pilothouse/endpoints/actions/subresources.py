"""Requests that carry out an action:
binding, eviction, token, and the resources of which nothing is stored."""

from collections.abc import Awaitable, Callable
from typing import cast

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api.values.fields import Errors, Object
from pilothouse.authn.serviceaccount import ISSUED
from pilothouse.endpoints.actions import componentstatus, reviews
from pilothouse.endpoints.actions.parts import Actions
from pilothouse.endpoints.objects import scale
from pilothouse.endpoints.objects.body import create_params, match_namespace, read_body
from pilothouse.endpoints.objects.scope import RequestScope
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import check_delete
from pilothouse.registry.actions import bind, evict
from pilothouse.registry.resource import Action, Resource, Subresource
from pilothouse.server.request import Response


async def handle(actions: Actions, ctx: Context, resource: Resource, sub: Subresource) -> Response:
    """A subresource with a body of its own."""
    if sub.read is not None:
        return await scale.handle(actions.verbs, ctx, resource, sub)
    return await _posted(actions, ctx, resource, sub)


async def virtual(actions: Actions, ctx: Context, resource: Resource) -> Response:
    """A resource of which nothing is stored."""
    if resource.action is Action.COMPONENT_STATUS:
        return await componentstatus.handle(actions, ctx, resource)
    if resource.action is Action.CHANGES:
        from pilothouse.endpoints.actions import changes  # only with a history, as below

        return await changes.handle(actions, ctx, resource)
    return await _posted(actions, ctx, resource, None)


async def _posted(actions: Actions, ctx: Context, resource: Resource, sub: Subresource | None) -> Response:
    """The answer of an action that takes a body;
    what plugins have reserved for one that fails is given back."""
    params = create_params(ctx)
    if sub is not None:
        action = sub.action
        body = await read_body(ctx, resource.body_of(sub), params, sub.accepted)
    else:
        action = resource.action
        body = await read_body(ctx, resource, params)
        meta.wipe_system_fields(body)
    assert action is not None
    match_namespace(ctx, resource, body)
    scope = RequestScope(
        actions.verbs, ctx, resource, params, ctx.info.name or body["metadata"].get("name", "")
    )
    async with scope.write:
        answer = await POSTED[action](actions, scope, body)
    scope.warn()
    return answer


async def _bind(actions: Actions, scope: RequestScope, body: Object) -> Response:
    await bind(scope.write, scope.verbs.catalog, body)
    return _done(scope)


async def _evict(actions: Actions, scope: RequestScope, body: Object) -> Response:
    options = body.get("deleteOptions") or {}
    dry_run = options.get("dryRun")
    unsafe = options.get("ignoreStoreReadErrorWithClusterBreakingPotential")
    if dry_run and scope.params.dry_run and dry_run != ["All"] and not unsafe:
        listed = " ".join(dry_run)
        raise errors.Unknown(f"Non-matching dry-run options in request and content: [All] and [{listed}]")
    if dry_run:
        scope.params.dry_run = scope.context.dry_run = scope.write.attributes.dry_run = True
    if options:
        scope.verbs.store.find(scope.resource, scope.ctx.info.namespace, scope.ctx.info.name)
        check_delete(options)
    await evict(scope.write, scope.verbs.catalog, body)
    return _done(scope)


def _done(scope: RequestScope) -> Response:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    return scope.verbs.responder.plain(scope.ctx, status, 201)


async def _issue_token(actions: Actions, scope: RequestScope, body: Object) -> Response:
    """Sign a token for a service account (authentication.k8s.io/v1 TokenRequest)."""
    verbs, info, resource, sub = scope.verbs, scope.ctx.info, scope.resource, scope.ctx.subresource
    issuer = verbs.issuer
    assert issuer is not None and sub is not None
    verbs.store.find(resource, info.namespace, info.name)
    await scope.context.work.run(scope.write.track, None, body, record=resource.body_of(sub))
    # Admission sees it as it was sent: a kubelet's request without audiences is told apart from others.
    body = await scope.write.mutate(body, None)
    request = issuer.prepare(body, info.namespace, info.name)
    await scope.write.validate(request, None)
    issued = await issuer.issue(request)
    scope.context.warnings += issued.warnings
    if scope.ctx.audit is not None:
        scope.ctx.audit.annotate(ISSUED, issued.credential)
    return verbs.responder.plain(scope.ctx, issued.obj, 201)


OF_HISTORY = (Action.BLAME, Action.UNDO, Action.RESTORE)
"""Reviews of the history."""


async def _of_history(actions: Actions, scope: RequestScope, body: Object) -> Response:
    """Answer a review of the history."""
    from pilothouse.endpoints.actions import changes, restore

    answers = {
        Action.BLAME: changes.answer_blame,
        Action.UNDO: restore.answer_undo,
        Action.RESTORE: restore.answer_restore,
    }
    assert scope.resource.action is not None
    return await answers[scope.resource.action](actions, scope, body)


async def _review(actions: Actions, scope: RequestScope, body: Object) -> Response:
    """Answer an access review, a token review or a review of the history."""
    resource, work = scope.resource, scope.context.work
    assert resource.action is not None
    await work.run(scope.write.track, None, body)
    body = await scope.write.mutate(body, None)
    if resource.strategy.validate is not None:
        errs = Errors()
        await work.run(resource.strategy.validate, scope.context, body, errs)
        errs.raise_if_any(resource.group, resource.kind, body["metadata"].get("name", ""))
    await scope.write.validate(body, None)
    if resource.action in OF_HISTORY:
        return await _of_history(actions, scope, body)
    answer = await reviews.answer(resource.action, body, scope.ctx.user, actions.judges, work)
    response = await work.run(scope.verbs.responder.plain, scope.ctx, answer, 201)
    if resource.action is Action.SELF_SUBJECT_RULES_REVIEW:
        scope.verbs.widths.learn_review(scope.ctx.user, len(cast(bytes, response.body)))
    return response


POSTED: dict[Action, Callable[[Actions, RequestScope, Object], Awaitable[Response]]] = {
    Action.BIND: _bind,
    Action.EVICT: _evict,
    Action.ISSUE_TOKEN: _issue_token,
    **dict.fromkeys(OF_HISTORY, _review),
    **dict.fromkeys(reviews.ANSWERS, _review),
}
"""The function that carries out each action that takes a body."""
