"""The targets of a CONNECT: the proxy subresource of nodes, pods and services, and the streams of a pod."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import quote

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.request import browsers
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.streams import pod_streams, relay
from pilothouse.endpoints.streams.parts import Streams
from pilothouse.outbound.http import INSECURE, Trust
from pilothouse.outbound.upgrade import UpgradeError
from pilothouse.registry.resource import Action, Resource, Subresource
from pilothouse.registry.service_resolver import allowed, random_endpoint, url_host
from pilothouse.registry.store import decode
from pilothouse.server.request import Response
from pilothouse.server.websocket import is_upgrade


async def handle(
    streams: Streams, ctx: Context, resource: Resource, sub: Subresource, options: Object
) -> Response:
    """Find where the request must go and take it there; the errors are those of upstream's connecters.

    `options` is the options object of the CONNECT as admission leaves it.
    """
    assert sub.action is not None
    target = TARGETS.get(sub.action)
    if target is not None:
        return await _proxy(streams, ctx, options, await target(streams, ctx, resource))
    return await pod_streams.handle(streams, ctx, resource, sub.action, options)


def options(ctx: Context) -> Object:
    """The options of a proxy: the path behind the proxied object, with the slashes at both its ends."""
    info = ctx.info
    path = "/".join(info.parts[3:])
    if path and not path.startswith("/"):
        path = f"/{path}"
    if info.path.endswith("/") and not path.endswith("/"):
        path += "/"
    return {"path": path} if path else {}


def _object(streams: Streams, resource: Resource, namespace: str, name: str) -> Object:
    return decode(streams.verbs.store.find(resource, namespace, name))


def _at(host: str, port: str) -> str:
    """host:port for a URL. Refuses a port that is not a number: `80@127.0.0.1` would change the host."""
    if not (port.isascii() and port.isdigit()):
        reason = f"dial tcp: lookup {url_host(host)}:{port}: no such host"
        raise errors.ServiceUnavailable(f"error trying to reach service: {reason}")
    return f"{url_host(host)}:{port}"


class ProxyTarget(NamedTuple):
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


async def _proxy(streams: Streams, ctx: Context, wanted: Object, target: ProxyTarget) -> Response:
    info, request = ctx.info, ctx.request
    segments = request.path.split("/")
    depth = 8 if info.namespace else 6
    prepend, path = request.prefix + "/".join(segments[:depth]), "/".join(segments[depth:])
    if wanted.get("path", "") != options(ctx).get("path", ""):  # a plugin has changed it
        path = quote(wanted.get("path", "").removeprefix("/"))
    elif len(segments) <= depth and request.method in ("GET", "HEAD") and not is_upgrade(request):
        query = f"?{request.query}" if request.query else ""
        return Response(301, b"", "", [("Location", f"{request.prefix}{request.path}/{query}")])
    url = f"{target.base}/{path}"
    if request.query:
        url = f"{url}?{request.query}"
    if is_upgrade(request):
        try:
            return relay.upgraded(ctx, await streams.relay.upgrade(ctx, url, target.trust))
        except UpgradeError as err:
            raise errors.Unknown(str(err)) from None
    answer = await streams.relay.forward(ctx, url, target.trust, prepend=prepend)
    response = await relay.response_of(ctx, answer, rewrite=relay.rewrite_through(ctx, url, prepend))
    if (
        streams.verbs.sandboxes
        and request.peer_certificates
        and not request.prefix  # relay.response_of has done it
        and not browsers.is_relayed(request)
    ):
        response.headers.append(browsers.SANDBOX)
    return response


async def _node(streams: Streams, ctx: Context, resource: Resource) -> ProxyTarget:
    scheme, name, port = split(ctx.info.name, "node")
    kubelet = streams.kubelets.of(name)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(kubelet.host, None, type=socket.SOCK_STREAM)
    except OSError:
        raise errors.BadRequest(f"lookup {kubelet.host}: no such host") from None
    if not all(allowed(str(address[4][0])) for address in found):
        raise errors.BadRequest("address not allowed")
    if port in ("", str(kubelet.port)):
        return ProxyTarget(kubelet.base, kubelet.trust)
    return ProxyTarget(f"{scheme or 'http'}://{_at(kubelet.host, port)}", INSECURE)


async def _pod(streams: Streams, ctx: Context, resource: Resource) -> ProxyTarget:
    scheme, name, port = split(ctx.info.name, "pod")
    pod = _object(streams, resource, ctx.info.namespace, name)
    if not port:
        containers = (pod.get("spec") or {}).get("containers") or []
        ports = [p for c in containers for p in (c.get("ports") or [])[:1]]
        port = str(ports[0]["containerPort"]) if ports else ""
    addresses = (pod.get("status") or {}).get("podIPs") or []
    address = addresses[0].get("ip", "") if addresses else ""
    if not allowed(address):
        raise errors.BadRequest("address not allowed")
    host = _at(address, port) if port else url_host(address)
    return ProxyTarget(f"{scheme or 'http'}://{host}", INSECURE)


async def _service(streams: Streams, ctx: Context, resource: Resource) -> ProxyTarget:
    scheme, name, port = split(ctx.info.name, "service")
    namespace = ctx.info.namespace
    service = _object(streams, resource, namespace, name)
    number = _number(port)
    if number is not None:
        ports = (service.get("spec") or {}).get("ports") or []
        named = next((p for p in ports if p.get("port") == number), None)
        if named is None:
            raise errors.ServiceUnavailable(f'no service port {number} found for service "{name}"')
        port = named.get("name", "")
    endpoint = random_endpoint(streams.verbs.readers, service, port)
    if endpoint is None:
        raise errors.not_found("", "services", name)
    return ProxyTarget(f"{scheme or 'http'}://{endpoint}", INSECURE)


def _number(text: str) -> int | None:
    """A decimal number of 64 bits (strconv.ParseInt); None for any other text."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _LONGEST:
        return None
    return int(text)


_LONGEST = 18
"""Digits that certainly fit into 64 bits; no valid port has as many."""


TARGETS: dict[Action, Callable[[Streams, Context, Resource], Awaitable[ProxyTarget]]] = {
    Action.PROXY_NODE: _node,
    Action.PROXY_POD: _pod,
    Action.PROXY_SERVICE: _service,
}
"""The function that finds the root behind each proxy subresource."""
