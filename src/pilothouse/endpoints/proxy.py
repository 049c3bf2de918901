"""Requests that are passed on to a kubelet, a pod or a service: log, exec, attach, port-forward, proxy."""

import asyncio
import ipaddress
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson

from pilothouse import errors
from pilothouse.api import times
from pilothouse.api.fields import Errors, Object
from pilothouse.endpoints import refusals, relay
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.params import Query, boolean, first, integer
from pilothouse.endpoints.scope import Verbs
from pilothouse.outbound.http import INSECURE, Answer, ClientError, Trust
from pilothouse.registry.resource import Resource, Subresource
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
_ERROR_BYTES = 50_000
_KUBELET_PORT = 10250


async def handle(verbs: Verbs, ctx: Context, resource: Resource, sub: Subresource) -> Response:
    """Find where the request must go and take it there; the errors are those of upstream's connecters."""
    verb = _VERBS.get(ctx.request.method)
    if sub.name != "proxy" and verb not in sub.verbs:
        raise refusals.method_not_allowed()
    if sub.name == "log":
        return await _log(verbs, ctx, resource)
    if sub.name == "proxy":
        return await _proxy(verbs, ctx, resource)
    _stream_location(verbs, ctx, resource, sub.name)
    if "upgrade" not in ctx.request.headers.get("connection", "").lower():
        raise errors.BadRequest("Upgrade request required")
    raise errors.ServiceUnavailable("connections cannot be taken over by this server")


# Kubelets


class Kubelet(NamedTuple):
    """Where a node's kubelet answers, and how it is known."""

    host: str
    port: int
    trust: Trust

    @property
    def base(self) -> str:
        return f"https://{_host(self.host)}:{self.port}"


def kubelet_of(verbs: Verbs, name: str, resource: str = "nodes") -> Kubelet:
    """The kubelet of a node; the 404 of one that is not there names `resource`, as upstream's does."""
    node = verbs.readers.get("nodes", "", name)
    if node is None:
        raise errors.not_found("", resource, name)
    options, status = verbs.services.options, node.get("status") or {}
    addresses = status.get("addresses") or []
    for kind in options.kubelet_preferred_address_types:
        found = next((a["address"] for a in addresses if a.get("type") == kind), None)
        if found is not None:
            break
    else:
        known = " ".join(f"{{{a.get('type', '')} {a.get('address', '')}}}" for a in addresses)
        raise errors.Unknown(f"no preferred addresses found; known addresses: [{known}]")
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or _KUBELET_PORT
    return Kubelet(found, port, kubelet_trust(options))


def kubelet_trust(options: Any) -> Trust:
    """How kubelets are checked: not at all without --kubelet-certificate-authority, as upstream."""
    authority = options.kubelet_certificate_authority
    ca = b""
    if authority:
        with open(authority, "rb") as file:
            ca = file.read()
    return Trust(ca, not ca, "", options.kubelet_client_certificate, options.kubelet_client_key)


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _at(host: str, port: str) -> str:
    """host:port of a URL. A port that is no number would say where else to go: `80@127.0.0.1`."""
    if not (port.isascii() and port.isdigit()):
        why = f"dial tcp: lookup {_host(host)}:{port}: no such host"
        raise errors.ServiceUnavailable(f"error trying to reach service: {why}")
    return f"{_host(host)}:{port}"


# Logs and streams of a container


@dataclass(slots=True)
class LogOptions:
    """PodLogOptions as sent."""

    container: str = ""
    insecure: bool = False
    params: tuple[tuple[str, str], ...] = ()


def log_options(query: Query, name: str) -> LogOptions:
    """Decode and check; BadRequest and Invalid as upstream."""
    numbers = {key: integer(query, key) for key in ("sinceSeconds", "tailLines", "limitBytes")}
    since = first(query, "sinceTime")
    if since:
        try:
            since = times.time(since) or ""
        except ValueError as err:
            raise errors.BadRequest(str(err)) from None
    _check_log(numbers, since, bool(query.get("stream")), name)
    params = [(key, "true") for key in ("follow", "previous", "timestamps") if boolean(query, key)]
    params += [(key, str(value)) for key, value in numbers.items() if value is not None]
    if since:
        params.append(("sinceTime", since))
    insecure = bool(boolean(query, "insecureSkipTLSVerifyBackend"))
    return LogOptions(first(query, "container"), insecure, tuple(sorted(params)))


def _check_log(numbers: dict[str, int | None], since: str, stream: bool, name: str) -> None:
    errs = Errors()
    tail, limit, seconds = numbers["tailLines"], numbers["limitBytes"], numbers["sinceSeconds"]
    if tail is not None and tail < 0:
        errs.invalid("tailLines", tail, "must be greater than or equal to 0")
    if limit is not None and limit < 1:
        errs.invalid("limitBytes", limit, "must be greater than 0")
    if seconds is not None and since:
        errs.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified")
    elif seconds is not None and seconds < 1:
        errs.invalid("sinceSeconds", seconds, "must be greater than 0")
    if stream:
        errs.forbidden("stream", "may not be specified")
    errs.raise_if_any("", "PodLogOptions", name)


def container_of(pod: Object, asked: str) -> str:
    """The container a request is about; BadRequest when that is not clear (validateContainer)."""
    spec, name = pod.get("spec") or {}, pod["metadata"]["name"]
    lists = ("initContainers", "containers", "ephemeralContainers")
    known = [c.get("name", "") for key in lists for c in spec.get(key) or ()]
    if asked:
        if asked not in known:
            raise errors.BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    own = spec.get("containers") or []
    if len(own) == 1:
        only: str = own[0]["name"]
        return only
    text = f"a container name must be specified for pod {name}"
    raise errors.BadRequest(f"{text}, choose one of: [{' '.join(known)}]" if own else text)


def _pod(verbs: Verbs, resource: Resource, namespace: str, name: str) -> Object:
    pod: Object = orjson.loads(verbs.store.find(resource, namespace, name).value)
    return pod


def _stream_location(verbs: Verbs, ctx: Context, resource: Resource, sub: str) -> Kubelet:
    """The kubelet to which exec, attach or port-forward goes, after upstream's checks."""
    pod = _pod(verbs, resource, ctx.info.namespace, ctx.info.name)
    if sub != "portforward":
        container_of(pod, first(ctx.query, "container"))
    node = (pod.get("spec") or {}).get("nodeName", "")
    if not node:
        raise errors.BadRequest(f"pod {ctx.info.name} does not have a host assigned")
    return kubelet_of(verbs, node, "pods")


async def _log(verbs: Verbs, ctx: Context, resource: Resource) -> Response:
    info = ctx.info
    options = log_options(ctx.query, info.name)
    pod = _pod(verbs, resource, info.namespace, info.name)
    container = container_of(pod, options.container)
    node = (pod.get("spec") or {}).get("nodeName", "")
    if not node:
        return Response(204, b"", "")
    kubelet = kubelet_of(verbs, node, "pods")
    url = f"{kubelet.base}/containerLogs/{info.namespace}/{info.name}/{container}"
    if options.params:
        url = f"{url}?{urlencode(options.params)}"
    trust = kubelet.trust
    if options.insecure:
        trust = Trust(insecure=True, cert_file=trust.cert_file, key_file=trust.key_file)
    try:
        answer = await verbs.services.outbound.open("GET", url, trust=trust)
    except ClientError as err:
        raise errors.Unknown(f'Get "{url}": {err}') from None
    if not 200 <= answer.status <= 206:
        raise await _refused(answer, "pods/log", info.name)
    return await relay.response_of(ctx, answer, "text/plain")


async def _refused(answer: Answer, resource: str, name: str) -> errors.StatusError:
    """What a kubelet's refusal is told as (GenericHttpResponseChecker, NewGenericServerResponse)."""
    try:
        text = (await answer.read(_ERROR_BYTES)).decode("utf-8", "replace")
    except ClientError as err:
        text = str(err)
    if answer.status == 500:
        return errors.InternalError(
            f"Internal error occurred: {text}", details={"causes": [{"message": text}]}
        )
    if answer.status == 400:
        return errors.BadRequest(text)
    kind, message = _GENERIC.get(answer.status, (None, ""))
    if kind is None:
        kind = errors.InternalError if answer.status > 500 else errors.Unknown
        message = f'an error on the server ("{text}") has prevented the request from succeeding'
        if answer.status < 500:
            code = answer.status
            message = f"the server responded with the status code {code} but did not return more information"
    error = kind(f"{message or text} ( {resource} {name})", details={"name": name, "kind": resource})
    error.code = answer.status
    return error


_GENERIC: dict[int, tuple[type[errors.StatusError], str]] = {
    401: (errors.Unauthorized, "the server has asked for the client to provide credentials"),
    403: (errors.Forbidden, ""),
    404: (errors.NotFound, refusals.NOT_FOUND),
    405: (errors.MethodNotAllowed, refusals.METHOD_NOT_ALLOWED),
    429: (
        errors.TooManyRequests,
        "the server has received too many requests and has asked us to try again later",
    ),
    503: (errors.ServiceUnavailable, "the server is currently unable to handle the request"),
    504: (
        errors.Timeout,
        "the server was unable to return a response in the time allotted, "
        "but may still be processing the request",
    ),
}


# Proxies


class Target(NamedTuple):
    """The root that a proxied path is put behind."""

    base: str
    trust: Trust


def split(text: str, kind: str) -> tuple[str, str, str]:
    """Scheme, name and port out of `[scheme:]name[:port]`."""
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
    answer = await relay.forward(verbs.services, ctx, url, target.trust, prepend=prepend)
    location = relay.own_location(ctx, answer, url, prepend) if answer.header("location") else ""
    return await relay.response_of(ctx, answer, location=location)


_IPv6 = ipaddress.IPv6Network
_EMBEDDING = (
    (_IPv6("::ffff:0:0/96"), 0),  # IPv4-mapped
    (_IPv6("::/96"), 0),  # IPv4-compatible
    (_IPv6("64:ff9b::/96"), 0),  # NAT64
    (_IPv6("64:ff9b:1::/48"), 0),  # NAT64 with a prefix of the site's own, the shortest
    (_IPv6("2002::/16"), 80),  # 6to4
)
"""Networks whose addresses lead to an IPv4 one, and how far from the end that stands."""


def allowed(address: str) -> bool:
    """Whether requests may go there: a unicast address beyond this host and this link (IsGlobalUnicast).

    An IPv6 address that only stands for an IPv4 one is judged by both.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if not _is_global_unicast(ip):
            return False
        inner = [
            ipaddress.IPv4Address(int(ip) >> shift & 0xFFFFFFFF)
            for network, shift in _EMBEDDING
            if ip in network
        ]
        return all(_is_global_unicast(one) for one in inner)
    return _is_global_unicast(ip)


def _is_global_unicast(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return not (ip.is_loopback or ip.is_unspecified or ip.is_multicast or ip.is_link_local) and (
        str(ip) != "255.255.255.255"
    )


async def _node(verbs: Verbs, ctx: Context, resource: Resource) -> Target:
    scheme, name, port = split(ctx.info.name, "node")
    kubelet = kubelet_of(verbs, name)
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
    pod = _pod(verbs, resource, ctx.info.namespace, name)
    if not port:
        containers = (pod.get("spec") or {}).get("containers") or []
        ports = [p for c in containers for p in (c.get("ports") or [])[:1]]
        port = str(ports[0]["containerPort"]) if ports else ""
    addresses = (pod.get("status") or {}).get("podIPs") or []
    address = addresses[0].get("ip", "") if addresses else ""
    if not allowed(address):
        raise errors.BadRequest("address not allowed")
    host = _at(address, port) if port else _host(address)
    return Target(f"{scheme or 'http'}://{host}", INSECURE)


async def _service(verbs: Verbs, ctx: Context, resource: Resource) -> Target:
    scheme, name, port = split(ctx.info.name, "service")
    namespace = ctx.info.namespace
    service: Object = orjson.loads(verbs.store.find(resource, namespace, name).value)
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
    """A decimal number of 64 bits (strconv.ParseInt), None for any other text."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _LONGEST:
        return None
    return int(text)


_LONGEST = 18
"""Digits of a number that surely fits into 64 bits; no port has so many."""


def random_endpoint(readers: Any, service: Object, port_name: str) -> str | None:
    """host:port of a ready endpoint of a service, of its first IP family where there is one."""
    metadata = service["metadata"]
    families = (service.get("spec") or {}).get("ipFamilies") or [""]
    slices = [
        s
        for s in readers.list("endpointslices.discovery.k8s.io", metadata["namespace"])
        if (s["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == metadata["name"]
    ]
    random.shuffle(slices)
    slices.sort(key=lambda s: s.get("addressType") != families[0])
    for slice_ in slices:
        ports = [p for p in slice_.get("ports") or () if p.get("name", "") == port_name and p.get("port")]
        ready = [
            e["addresses"][0]
            for e in slice_.get("endpoints") or ()
            if (e.get("conditions") or {}).get("ready") is not False and allowed(e["addresses"][0])
        ]
        if ports and ready:
            return f"{_host(random.choice(ready))}:{ports[0]['port']}"
    return None


_TARGETS: dict[str, Callable[[Verbs, Context, Resource], Awaitable[Target]]] = {
    "nodes": _node,
    "pods": _pod_target,
    "services": _service,
}
