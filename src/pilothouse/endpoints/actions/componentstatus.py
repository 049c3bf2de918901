"""Serves componentstatuses: the health of the control plane, checked at each request."""

import asyncio

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.actions.parts import Actions
from pilothouse.endpoints.request import refusals
from pilothouse.endpoints.request.context import Context
from pilothouse.outbound.http import INSECURE, ClientError
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Response

NEIGHBOURS = {"controller-manager": 10257, "scheduler": 10259}
"""Ports of this host where upstream looks for the other components."""

STORE = "etcd-0"
SECONDS, LIMIT = 20.0, 10 << 10


async def handle(actions: Actions, ctx: Context, resource: Resource) -> Response:
    """One component, or all of them."""
    if ctx.info.verb == "watch":
        raise refusals.method_not_allowed()
    name = ctx.info.name
    if not name:
        names = (*NEIGHBOURS, STORE)
        found = await asyncio.gather(*(_status(actions, one) for one in names))
        return actions.verbs.responder.objects(ctx, resource, found, {})
    if name != STORE and name not in NEIGHBOURS:
        raise errors.not_found("", "componentstatus", name)
    return actions.verbs.responder.object(ctx, resource, await _status(actions, name))


async def _status(actions: Actions, name: str) -> Object:
    if name == STORE:
        healthy = actions.verbs.store.cacher.ready
        condition = _condition("ok" if healthy else "the store cannot be reached", healthy=healthy)
    else:
        condition = await _neighbour(actions, NEIGHBOURS[name])
    return {
        "kind": "ComponentStatus",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "conditions": [condition],
    }


async def _neighbour(actions: Actions, port: int) -> Object:
    url = f"https://127.0.0.1:{port}/healthz"
    try:
        answer = await actions.outbound.open("GET", url, trust=INSECURE, timeout=SECONDS)
        text = (await answer.read(LIMIT)).decode("utf-8", "replace")
    except ClientError as err:
        return _condition(f'Get "{url}": {err}', healthy=False)
    if not 200 <= answer.status < 400:
        return _condition(f"HTTP probe failed with statuscode: {answer.status}", healthy=False)
    return _condition(text, healthy=True)


def _condition(message: str, *, healthy: bool) -> Object:
    return {"type": "Healthy", "status": "True" if healthy else "False", "message": message}
