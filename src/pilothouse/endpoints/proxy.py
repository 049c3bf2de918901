"""Serves the proxy subresources of nodes, pods and services, and dispatches the log and streams of pods."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pilothouse import errors
from pilothouse.api.fields import Object
from pilothouse.endpoints import podlog, refusals, relay
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.kubelet import Kubelet
from pilothouse.endpoints.params import first
from pilothouse.endpoints.scope import Verbs
from pilothouse.outbound.http import INSECURE, Trust
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.registry.service_resolver import allowed, random_endpoint, url_host
from pilothouse.registry.store import decode
from pilothouse.server.request import Response

STREAMS = frozenset(("log", "exec", "attach", "portforward", "proxy"))

_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}


async def handle(verbs: Verbs, ctx: Context, resource: Resource, sub: Subresource) -> Response:
    """Locate the target and forward the request; errors are those of upstream's connecters."""
    verb = _VERBS.get(ctx.request.method)
    if sub.name != "proxy" and verb not in sub.verbs:
        raise refusals.method_not_allowed()
    if sub.name == "log":
        return await podlog.handle(verbs, ctx, resource)
    if sub.name == "proxy":
        return await _proxy(verbs, ctx, resource)
    _stream_location(verbs, ctx, resource, sub.name)
    if "upgrade" not in ctx.request.headers.get("connection", "").lower():
        raise errors.BadRequest("Upgrade request required")
    raise errors.ServiceUnavailable("connections cannot be taken over by this server")


def _stream_location(verbs: Verbs, ctx: Context, resource: Resource, sub: str) -> Kubelet:
    """The kubelet for exec, attach or port-forward, after upstream's checks of pod and container."""
    pod = _object(verbs, resource, ctx.info.namespace, ctx.info.name)
    if sub != "portforward":
        podlog.container_of(pod, first(ctx.query, "container"))
    node = (pod.get("spec") or {}).get("nodeName", "")
    if not node:
        raise errors.BadRequest(f"pod {ctx.info.name} does not have a host assigned")
    return verbs.kubelets.of(node, "pods")


def _object(verbs: Verbs, resource: Resource, namespace: str, name: str) -> Object:
    return decode(verbs.store.find(resource, namespace, name))


def _at(host: str, port: str) -> str:
    """host:port for a URL. Refuses a port that is not a number: `80@127.0.0.1` would change the host."""
    if not (port.isascii() and port.isdigit()):
        reason = f"dial tcp: lookup {url_host(host)}:{port}: no such host"
        raise errors.ServiceUnavailable(f"error trying to reach service: {reason}")
    return f"{url_host(host)}:{port}"


class Target(NamedTuple):
    """The base URL to which the rest of a proxied path is appended, and how its certificate is checked."""

    base: str
    trust: Trust


def split(text: str, kind: str) -> tuple[str, str, str]:
    """Split `[scheme:]name[:port]`; raises BadRequest for any other form."""
    parts = text.split(":")
    if len(parts) < 3:
        parts = ["", *parts, *([""] * (2 - len(parts)))]
    if len(parts) > 3 or not parts[1] or parts[0] not in ("", "http", "https"):
        raise errors.BadRequest(f'invalid {kind} request "{text}"')
    return parts[0], parts[1], parts[2]


async def _proxy(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    info, request = ctx.info, ctx.request
    target = await _TARGETS[resource.plural](verbs, ctx, resource)
    segments = request.path.split("/")
    depth = 8 if info.namespace else 6
    prepend, rest = "/".join(segments[:depth]), segments[depth:]
    if not rest and request.method in ("GET", "HEAD"):
        query = f"?{request.query}" if request.query else ""
        return Response(301, b"", "", [("Location", f"{request.path}/{query}")])
    url = f"{target.base}/{'/'.join(rest)}"
    if request.query:
        url = f"{url}?{request.query}"
    answer = await verbs.relay.forward(ctx, url, target.trust, prepend=prepend)
    location = relay.own_location(ctx, answer, url, prepend) if answer.header("location") else ""
    return await relay.response_of(ctx, answer, location=location)


async def _node(verbs: Verbs, ctx: Context, resource: Resource) -> Target:
    scheme, name, port = split(ctx.info.name, "node")
    kubelet = verbs.kubelets.of(name)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(kubelet.host, None, type=socket.SOCK_STREAM)
    except OSError:
        raise errors.BadRequest(f"lookup {kubelet.host}: no such host") from None
    if not all(allowed(str(address[4][0])) for address in found):
        raise errors.BadRequest("address not allowed")
    if port in ("", str(kubelet.port)):
        return Target(kubelet.base, kubelet.trust)
    return Target(f"{scheme or 'http'}://{_at(kubelet.host, port)}", INSECURE)


async def _pod_target(verbs: Verbs, ctx: Context, resource: Resource) -> Target:
    scheme, name, port = split(ctx.info.name, "pod")
    pod = _object(verbs, resource, ctx.info.namespace, name)
    if not port:
        containers = (pod.get("spec") or {}).get("containers") or []
        ports = [p for c in containers for p in (c.get("ports") or [])[:1]]
        port = str(ports[0]["containerPort"]) if ports else ""
    addresses = (pod.get("status") or {}).get("podIPs") or []
    address = addresses[0].get("ip", "") if addresses else ""
    if not allowed(address):
        raise errors.BadRequest("address not allowed")
    host = _at(address, port) if port else url_host(address)
    return Target(f"{scheme or 'http'}://{host}", INSECURE)


async def _service(verbs: Verbs, ctx: Context, resource: Resource) -> Target:
    scheme, name, port = split(ctx.info.name, "service")
    namespace = ctx.info.namespace
    service = _object(verbs, resource, namespace, name)
    number = _number(port)
    if number is not None:
        ports = (service.get("spec") or {}).get("ports") or []
        named = next((p for p in ports if p.get("port") == number), None)
        if named is None:
            raise errors.ServiceUnavailable(f'no service port {number} found for service "{name}"')
        port = named.get("name", "")
    endpoint = random_endpoint(verbs.readers, service, port)
    if endpoint is None:
        raise errors.not_found("", "services", name)
    return Target(f"{scheme or 'http'}://{endpoint}", INSECURE)


def _number(text: str) -> int | None:
    """A decimal number of 64 bits (strconv.ParseInt); None for any other text."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _LONGEST:
        return None
    return int(text)


_LONGEST = 18
"""Digits that certainly fit into 64 bits; no valid port has as many."""


_TARGETS: dict[str, Callable[[Verbs, Context, Resource], Awaitable[Target]]] = {
    "nodes": _node,
    "pods": _pod_target,
    "services": _service,
}
