"""Requests that are passed on to a kubelet, a pod or a service: log, exec, attach, port-forward, proxy."""

from pilothouse import errors
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.verbs import Verbs
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.registry.store import decode
from pilothouse.server.request import Response

STREAMS = frozenset(("log", "exec", "attach", "portforward", "proxy"))


def handle(verbs: Verbs, ctx: Context, resource: Resource, sub: Subresource) -> Response:
    """Find where the request must go; the errors are those of upstream's connecters."""
    info = ctx.info
    if resource.plural != "pods":
        verbs.store.find(resource, info.namespace, info.name)
        raise errors.ServiceUnavailable(f"{resource.plural}/{sub.name} of {info.name} cannot be reached", details={})
    pod = decode(verbs.store.find(resource, info.namespace, info.name))
    node = (pod.get("spec") or {}).get("nodeName", "")
    if not node:
        raise errors.BadRequest(f"pod {info.name} does not have a host assigned")
    if verbs.readers.get("nodes", "", node) is None:
        raise errors.not_found("", "pods", node)
    raise errors.ServiceUnavailable(f"the kubelet of node {node} cannot be reached", details={})
