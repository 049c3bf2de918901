"""Requests to group versions that other API servers answer (kube-aggregator's proxy handler)."""

from dataclasses import dataclass
from typing import Any

from pilothouse import errors
from pilothouse.api.fields import Object
from pilothouse.endpoints import relay
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.health import NOSNIFF, TEXT
from pilothouse.endpoints.proxy import random_endpoint
from pilothouse.endpoints.scope import Verbs
from pilothouse.outbound.http import ClientError, Outbound, Trust, bundle
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Backend
from pilothouse.server.request import Response

DISCOVERY_SECONDS = 5.0
UNAVAILABLE = "service unavailable"
SYSTEM = (("X-Remote-User", "system:kube-aggregator"), ("X-Remote-Group", "system:masters"))
"""In whose name we ask by ourselves."""

REDIRECTED = b"the backend attempted to redirect this request, which is not permitted"


@dataclass(frozen=True, slots=True)
class Reach:
    """What it takes to ask a backend: a client, the cluster's objects and the flags."""

    outbound: Outbound
    readers: Readers
    options: Any

    def base(self, backend: Backend) -> str:
        """The URL of a backend's root; Unroutable when there is none."""
        return resolve(self.readers, backend, self.options.enable_aggregator_routing)


class Unroutable(Exception):
    """A Service that leads nowhere; the text is upstream's."""


def version_of(path: str) -> tuple[str, str]:
    """Group and version of a path, ("", "") of one that has none."""
    parts = path.split("/", 4)
    if len(parts) > 3 and parts[1] == "apis":
        return parts[2], parts[3]
    return ("", parts[2]) if len(parts) > 2 and parts[1] == "api" else ("", "")


def trust_of(backend: Backend, options: Any) -> Trust:
    """How a backend is known: by its caBundle, under its Service's name; and how it knows us."""
    return Trust(
        b"" if backend.insecure else bundle(backend.ca_bundle),
        backend.insecure,
        f"{backend.name}.{backend.namespace}.svc",
        options.proxy_client_cert_file,
        options.proxy_client_key_file,
    )


def resolve(readers: Readers, backend: Backend, by_endpoints: bool) -> str:
    """The URL of a backend's root: by its Service's address, or with `by_endpoints` one of its endpoints."""
    service = readers.get("services", backend.namespace, backend.name)
    if service is None:
        raise Unroutable(f'service "{backend.name}" not found')
    spec = service.get("spec") or {}
    kind = spec.get("type", "ClusterIP")
    if kind == "ExternalName" and not by_endpoints:
        return f"https://{spec.get('externalName', '')}:{backend.port}"
    if kind not in ("ClusterIP", "NodePort", "LoadBalancer"):
        raise Unroutable(f'unsupported service type "{kind}"')
    if not by_endpoints and kind == "ClusterIP" and spec.get("clusterIP") == "None":
        raise Unroutable('cannot route to service with ClusterIP "None"')
    port = port_of(service, backend.port)
    if port is None:
        raise Unroutable(f'no service port {backend.port} found for service "{backend.name}"')
    if not by_endpoints:
        address = spec.get("clusterIP", "")
        return f"https://{f'[{address}]' if ':' in address else address}:{backend.port}"
    endpoint = random_endpoint(readers, service, port.get("name", ""))
    if endpoint is None:
        raise Unroutable(f'no endpoints available for service "{backend.name}"')
    return f"https://{endpoint}"


def port_of(service: Object, number: int) -> Object | None:
    """The port of a Service that has a number."""
    ports = (service.get("spec") or {}).get("ports") or ()
    return next((port for port in ports if port.get("port") == number), None)


async def handle(verbs: Verbs, ctx: Context, backend: Backend) -> Response:
    """Pass a request on, as the user who sent it."""
    options = verbs.services.options
    if not backend.available:
        return _text(503, UNAVAILABLE)
    try:
        base = resolve(verbs.readers, backend, options.enable_aggregator_routing)
    except Unroutable:
        return _text(503, UNAVAILABLE)
    request, info = ctx.request, ctx.info
    url = f"{base}/{request.target.removeprefix('/')}"  # a target without a slash must not name another host
    discovery = not info.is_resource and len(info.path.strip("/").split("/")) == 3
    try:
        answer = await relay.forward(
            verbs.services,
            ctx,
            url,
            trust_of(backend, options),
            more=relay.identity_headers(ctx.user),
            timeout=DISCOVERY_SECONDS if discovery else None,
        )
    except errors.ServiceUnavailable as err:
        return _text(503, err.message)
    if 300 <= answer.status <= 399 and answer.header("location"):
        if options.aggregator_reject_forwarding_redirect:
            answer.close()
            return Response(502, REDIRECTED, "text/plain; charset=utf-8")
        return await relay.response_of(ctx, answer, location=relay.own_location(ctx, answer, url, ""))
    return await relay.response_of(ctx, answer)


async def probe(reach: Reach, backend: Backend, group: str, version: str) -> str:
    """Ask a backend for its discovery document; what is wrong, "" when it answers."""
    try:
        base = reach.base(backend)
    except Unroutable as err:
        return str(err)
    url = f"{base}/apis/{group}/{version}" if group else f"{base}/api/{version}"
    try:
        answer = await reach.outbound.open(
            "GET", url, headers=SYSTEM, trust=trust_of(backend, reach.options), timeout=DISCOVERY_SECONDS
        )
    except ClientError as err:
        return f'failing or missing response from {url}: Get "{url}": {err}'
    answer.close()
    if not 200 <= answer.status < 300:
        return f"failing or missing response from {url}: bad status from {url}: {answer.status}"
    return ""


def _text(status: int, text: str) -> Response:
    return Response(status, text.encode() + b"\n", TEXT, [NOSNIFF])
